/// Rank 0's decisions, as a pure state machine: reports in, messages out; no clock, no file, no MPI.
///
/// The protocol, once per step:
/// 1. Every rank computes its samples of the global batch and sends all others its loss parts, its unreadable samples,
///    whether all its values are finite, and whether it was asked to stop (one exchange).
/// 2. Rank 0 passes the combined `StepReport` to `decide` and broadcasts the resulting `ControlMessage`.
/// 3. All ranks carry out the message in this order: update or skip the parameters, log, evaluate (which saves the
///    adapter), save a checkpoint, stop. A message to stop because of a failure is carried out before the update.
///
/// As only rank 0 decides, ranks never disagree about the next collective operation.
public struct TrainingController: Sendable {
    /// The rules of a run.
    public struct Plan: Sendable, Equatable {
        /// Steps of the whole run.
        public var totalSteps: Int
        /// Steps between log lines.
        public var logEvery: Int
        /// Steps between evaluations; 0 to evaluate only at the end.
        public var evaluateEvery: Int
        /// Consecutive batches that may be skipped because of a non-finite value; 0 stops at the first.
        public var maximumSkips: Int
        /// Steps between checkpoints; 0 leaves it to the clock.
        public var saveEvery: Int
        /// Unreadable images that may be skipped in the whole run; 0 stops at the first.
        public var maximumBadSamples: Int
        /// Steps at which stages end, with an evaluation and a save; the last is the end of the run.
        public var stageEnds: [Int]

        /// Creates a plan.
        public init(
            totalSteps: Int, logEvery: Int, evaluateEvery: Int, maximumSkips: Int, saveEvery: Int = 0,
            maximumBadSamples: Int = 0, stageEnds: [Int] = []
        ) {
            self.stageEnds = stageEnds
            (self.totalSteps, self.logEvery) = (totalSteps, logEvery)
            (self.evaluateEvery, self.maximumSkips) = (evaluateEvery, maximumSkips)
            (self.saveEvery, self.maximumBadSamples) = (saveEvery, maximumBadSamples)
        }
    }

    /// The combined report of all ranks for a step.
    public struct StepReport: Sendable, Equatable {
        /// The step, from 0.
        public var step: Int
        /// Samples with a gradient.
        public var contributingSamples: Int
        /// Ranks with a non-finite value.
        public var nonFiniteRanks: [Int]
        /// Numbers of the batch's unreadable images; they have weight 0.
        public var badSamples: [Int]
        /// True if any rank was asked to stop.
        public var isStopRequested: Bool
        /// The state of saving, as reported by rank 0.
        public var saving: SavingSignals

        /// Creates a report.
        public init(
            step: Int, contributingSamples: Int, nonFiniteRanks: [Int], badSamples: [Int] = [], isStopRequested: Bool,
            saving: SavingSignals = SavingSignals()
        ) {
            (self.step, self.contributingSamples) = (step, contributingSamples)
            (self.nonFiniteRanks, self.badSamples) = (nonFiniteRanks, badSamples)
            (self.isStopRequested, self.saving) = (isStopRequested, saving)
        }
    }

    /// The next actions of all ranks.
    public struct ControlMessage: Sendable, Equatable {
        /// Why a run ends.
        public enum Stop: UInt8, Sendable {
            /// All steps are done.
            case finished = 1
            /// Requested, for example by a signal.
            case requested = 2
            /// Too many batches had non-finite values.
            case nonFinite = 3
            /// Too many checkpoints in a row could not be saved.
            case cannotSave = 4
            /// More images are unreadable than may be skipped. The step counts as not done.
            case badData = 5
            /// The run's folder is no longer its own: nothing more may be written. The step counts as not done.
            case folderLost = 6
        }
        /// True to apply the batch's gradient, false to leave the parameters as they are.
        public var appliesUpdate: Bool
        /// True to write a log line.
        public var logs: Bool
        /// True to evaluate and save the adapter.
        public var evaluates: Bool
        /// True to save a checkpoint.
        public var saves: Bool
        /// Set if the run ends after this message.
        public var stop: Stop?

        /// Five bytes, for the broadcast.
        public var bytes: [UInt8] {
            [appliesUpdate, logs, evaluates, saves].map { $0 ? 1 : 0 } + [stop?.rawValue ?? 0]
        }

        /// Parses `bytes`; nil if they are invalid.
        public init?(bytes: [UInt8]) {
            guard bytes.count == 5, bytes[0...3].allSatisfy({ $0 <= 1 }), bytes[4] <= 6 else { return nil }
            (appliesUpdate, logs, evaluates, saves) = (bytes[0] == 1, bytes[1] == 1, bytes[2] == 1, bytes[3] == 1)
            stop = Stop(rawValue: bytes[4])
        }

        /// Creates a message.
        public init(appliesUpdate: Bool, logs: Bool, evaluates: Bool, saves: Bool = false, stop: Stop?) {
            (self.appliesUpdate, self.logs, self.evaluates) = (appliesUpdate, logs, evaluates)
            (self.saves, self.stop) = (saves, stop)
        }
    }

    /// The rules of the run.
    public let plan: Plan
    /// Consecutive batches skipped so far.
    public private(set) var skipsInARow = 0
    /// Total batches skipped.
    public private(set) var skips = 0
    /// Batches in which no image gave a gradient.
    public private(set) var emptyBatches = 0
    /// Numbers of the unreadable images, ascending.
    public private(set) var badSamples: [Int]
    /// True if a checkpoint was due while another one was being written.
    private var owesSave = false

    /// Starts with the counts of an earlier run, or from zero.
    public init(
        plan: Plan, skipsInARow: Int = 0, skips: Int = 0, emptyBatches: Int = 0, badSamples: [Int] = []
    ) {
        (self.plan, self.skipsInARow, self.skips) = (plan, skipsInARow, skips)
        self.emptyBatches = emptyBatches
        self.badSamples = Set(badSamples).sorted()
    }

    /// Counts images as skipped, each once; if that exceeds the limit, returns false and counts nothing.
    public mutating func leaveOut(_ numbers: [Int]) -> Bool {
        guard !numbers.isEmpty else { return true }
        let all = Set(badSamples).union(numbers)
        guard all.count <= plan.maximumBadSamples else { return false }
        badSamples = all.sorted()
        return true
    }

    /// The message that follows a step's report.
    public mutating func decide(_ report: StepReport) -> ControlMessage {
        guard !report.saving.isFolderLost else {
            return ControlMessage(appliesUpdate: false, logs: false, evaluates: false, stop: .folderLost)
        }
        guard leaveOut(report.badSamples) else {
            return ControlMessage(appliesUpdate: false, logs: false, evaluates: false, saves: true, stop: .badData)
        }
        let isFinite = report.nonFiniteRanks.isEmpty
        if isFinite { skipsInARow = 0 } else { (skipsInARow, skips) = (skipsInARow + 1, skips + 1) }
        if skipsInARow > plan.maximumSkips {
            return ControlMessage(appliesUpdate: false, logs: true, evaluates: false, stop: .nonFinite)
        }
        let appliesUpdate = isFinite && report.contributingSamples > 0
        if isFinite, !appliesUpdate { emptyBatches += 1 }
        let done = report.step + 1
        let isLast = done >= plan.totalSteps
        let stop: ControlMessage.Stop? =
            isLast
            ? .finished : report.saving.isFailing ? .cannotSave : report.isStopRequested ? .requested : nil
        let isDue = plan.evaluateEvery > 0 && done % plan.evaluateEvery == 0 || plan.stageEnds.contains(done)
        let evaluates = isLast || (stop == nil && isDue)
        owesSave = owesSave || report.saving.isDue || (plan.saveEvery > 0 && done % plan.saveEvery == 0)
        // Scores go into the checkpoint of their step, and the last checkpoint is needed: these are not postponed.
        let saves = evaluates || stop == .requested || (stop == nil && owesSave && !report.saving.isBusy)
        if saves { owesSave = false }
        return ControlMessage(
            appliesUpdate: appliesUpdate,
            logs: stop != nil || done % plan.logEvery == 0, evaluates: evaluates, saves: saves, stop: stop)
    }
}
