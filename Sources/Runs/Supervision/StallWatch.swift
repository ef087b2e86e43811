package import Collectives
public import Recipes

/// Decides, from this rank's activity and the others' heartbeats, whether a run has stalled, which ranks are missing,
/// and whether to end it.
///
/// It has no clock: every observation states the time passed since the previous one. A rank that has met the others in
/// an operation is well. A rank that has not for a while publishes heartbeats; the lowest such rank reads all of them
/// and reports for the run. A rank that computes and advances is slow, not missing, however long it takes; a rank
/// without heartbeats, or one that neither waits nor advances, is missing.
///
/// A rank whose process was stopped, or whose heartbeat another rank removed, is probably about to be ended with the
/// run: it keeps still for a while, so that one hang is reported once and leaves no files.
public struct StallWatch: Sendable {
    /// Time limits in seconds; 0 disables a limit.
    public struct Limits: RecipeSection {
        public var warnAfter = 60.0
        public var load = 600.0
        public var firstStep = 300.0
        public var step = 180.0
        public var save = 420.0
        public var heartbeat = 0.0

        /// The defaults of a run.
        public init() {}

        package init(warnAfter: Double, load: Double, firstStep: Double, step: Double, save: Double) {
            (self.warnAfter, self.load, self.firstStep) = (warnAfter, load, firstStep)
            (self.step, self.save) = (step, save)
        }

        public static let fields: [RecipeField<Limits>] = [
            .number(
                "warnAfterSeconds", \.warnAfter, 0...1e6, effect: .machine,
                "Seconds without progress before the missing ranks are reported; 0 disables"),
            .number(
                "loadLimitSeconds", \.load, 0...1e6, effect: .machine,
                "Seconds without a sign of life from a rank before a start ends with status 72; 0 disables"),
            .number(
                "firstStepLimitSeconds", \.firstStep, 0...1e6, effect: .machine,
                "The same for the first step, and for evaluations"),
            .number(
                "stepLimitSeconds", \.step, 0...1e6, effect: .machine, "The same for all other steps"),
            .number(
                "saveLimitSeconds", \.save, 0...1e6, effect: .machine,
                "The same for writing and reading checkpoints"),
            .number(
                "heartbeatSeconds", \.heartbeat, 0...600, effect: .machine,
                "Seconds between signs of life of a waiting rank, more for a slow file system; 0: a sixth of the shortest limit"
            ),
        ]

        public var faults: [SettingFault] {
            guard let shortest, heartbeat > shortest / 3 else { return [] }
            return [SettingFault(key: "heartbeatSeconds", rule: "must be at most a third of the shortest limit")]
        }

        /// The shortest limit that is set; nil if none is.
        var shortest: Double? { [warnAfter, load, firstStep, step, save].filter { $0 > 0 }.min() }
    }

    /// A message about the run's progress.
    package enum Notice: Equatable, Sendable {
        /// The run stalls.
        case warning(String)
        /// It continues.
        case resumed(String)
        /// It must end.
        case hang(String)
    }

    let rank: Int
    let hosts: [String]
    let limits: Limits
    let process: Int
    /// True if the same command continues from a checkpoint.
    var resumes = true
    var pace = StepPace()
    /// The latest heartbeats of the others.
    var sightings: [Sighting?]
    /// Seconds since this rank met the others.
    var quiet = 0.0
    /// Seconds since it advanced.
    var idle = 0.0
    var activity = ActivityRecord.Activity()
    /// True if no heartbeat can be published, so the state of other ranks is unknown.
    var isBlind = false
    private var workCount = 0
    private var beats = 0
    private var sinceBeat = 0.0
    private var sinceWarning: Double?
    private var isPosted = false
    /// Seconds for which this rank neither publishes nor reports.
    private var stillness = 0.0
    /// True from a gap until observations are regular again: a thread that gets little time is not stopped at each gap.
    private var isAfterGap = false
    /// Seconds without an observation that show that the process was stopped.
    private static let longestGap = 2.0
    /// Seconds for which a woken rank keeps still; a launcher wakes a rank a second before it kills it, more under load.
    private static let stillnessAfterGap = 4.0
    /// Seconds that another rank, having removed all heartbeats, gets to end the run.
    private static let stillnessAfterClearing = 10.0

    /// A heartbeat, and this rank's `quiet` when it last changed.
    struct Sighting {
        var heartbeat: Heartbeat
        var movedAt: Double
    }

    /// Watches as one of `hosts.count` ranks.
    package init(rank: Int, hosts: [String], limits: Limits, process: Int = 0) {
        (self.rank, self.hosts, self.limits, self.process) = (rank, hosts, limits, process)
        sightings = [Sighting?](repeating: nil, count: hosts.count)
    }

    /// Seconds between heartbeats: by default six before the first warning.
    package var beatInterval: Double {
        limits.heartbeat > 0 ? limits.heartbeat : min((limits.shortest ?? 60) / 6, 10)
    }

    /// Records this rank's current activity.
    ///
    /// - Parameters:
    ///   - workCount: Increases while the rank computes.
    ///   - elapsed: Seconds since the last observation.
    package mutating func observe(
        _ now: ActivityRecord.Activity, workCount: Int, elapsed: Double, board: any HeartbeatBoard
    ) -> [Notice] {
        // A process that was itself stopped could not observe the others' silence.
        let gap = elapsed
        let elapsed = min(elapsed, 2 * beatInterval)
        if now.isOver {
            if isPosted { board.withdraw() }
            isPosted = false
            return []
        }
        // Before anything else: a rank that is woken to be ended may first meet the others' last messages.
        keepStill(after: gap)
        pace.pass(elapsed, phase: now.phase)
        if now.transfers != activity.transfers {
            activity = now
            return goOn(board)
        }
        let advances = now.stamps != activity.stamps || workCount != self.workCount
        (activity, self.workCount) = (now, workCount)
        quiet += elapsed
        idle = advances && !now.isWaiting ? 0 : idle + elapsed
        guard let attention = [limits.warnAfter, limit].filter({ $0 > 0 }).min() else { return [] }
        guard quiet >= attention / 2 else { return [] }
        sinceBeat += elapsed
        if let since = sinceWarning { sinceWarning = since + elapsed }
        guard stillness == 0, sinceBeat >= beatInterval else { return [] }
        sinceBeat = 0
        if hosts.count > 1 { meet(board) }
        return stillness == 0 ? verdict() : []
    }

    /// Begins, shortens or ends the time for which this rank keeps still.
    private mutating func keepStill(after gap: Double) {
        if gap > Self.longestGap, !isAfterGap {
            (stillness, isAfterGap) = (Self.stillnessAfterGap, true)
        } else {
            stillness = max(0, stillness - gap)
            if gap <= Self.longestGap, stillness == 0 { isAfterGap = false }
        }
    }

    /// Handles that the rank has met the others.
    private mutating func goOn(_ board: any HeartbeatBoard) -> [Notice] {
        let notice = sinceWarning.map { _ in Notice.resumed("continues after \(Self.rounded(quiet)) s") }
        if isPosted { board.withdraw() }
        (quiet, idle, sinceBeat, sinceWarning, isPosted, isBlind) = (0, 0, beatInterval, nil, false, false)
        if sightings.contains(where: { $0 != nil }) { sightings = sightings.map { _ in nil } }
        return notice.map { [$0] } ?? []
    }

    /// Publishes a heartbeat and reads those of the others if this rank reports.
    private mutating func meet(_ board: any HeartbeatBoard) {
        beats += 1
        var own = Heartbeat()
        (own.beat, own.process, own.isWaiting) = (beats, process, activity.isWaiting)
        (own.sequence, own.phase, own.quiet, own.idle) = (activity.sequence, activity.phase, quiet, idle)
        own.doing = activity.isWaiting ? activity.operationName : activity.work
        let posting = board.post(own)
        isBlind = posting == .failed
        isPosted = posting == .published || (isPosted && isBlind)
        guard posting != .cleared else { return stillness = Self.stillnessAfterClearing }
        sightings[rank] = Sighting(heartbeat: own, movedAt: quiet)
        for other in hosts.indices where other != rank {
            look(at: other, board)
            // A living lower rank reports, unless it fails to.
            if other < rank, isFresh(other), !isOverdue { return }
        }
    }

    private mutating func look(at other: Int, _ board: any HeartbeatBoard) {
        // A removed heartbeat ages like an unchanged one: its rank continues, or has ended the run.
        guard let heartbeat = board.heartbeat(of: other) else { return }
        if let seen = sightings[other], seen.heartbeat.beat == heartbeat.beat { return }
        sightings[other] = Sighting(heartbeat: heartbeat, movedAt: quiet)
    }

    /// True if the rank's process has recently shown that it runs.
    func isFresh(_ other: Int) -> Bool {
        guard let seen = sightings[other] else { return false }
        return quiet - seen.movedAt < 3.5 * beatInterval
    }

    /// True if the reporting rank should have ended the run long ago.
    private var isOverdue: Bool { limit > 0 && quiet >= 1.25 * limit + 6 * beatInterval }

    private var speaks: Bool { isOverdue || !(0..<rank).contains { isFresh($0) } }

    /// The limit of the current phase; 0 disables it.
    var limit: Double {
        switch true {
        case pace.isStepping && !pace.isFirst: limits.step
        case pace.isStepping || activity.phase == "evaluation": limits.firstStep
        case activity.phase.hasPrefix("report "): limits.step
        case activity.phase.hasPrefix("checkpoint") || activity.phase == "resume": limits.save
        default: limits.load
        }
    }

    private mutating func verdict() -> [Notice] {
        guard hosts.count > 1 else { return verdictAlone() }
        guard speaks else { return [] }
        let stall = Stall(self)
        if limit > 0, stall.longestWait >= limit,
            stall.longestSilence >= (isBlind ? max(limit, 10 * pace.median) : limit)
        {
            return [.hang(stall.description + "; " + stall.remedy)]
        }
        guard limits.warnAfter > 0, isTimeToWarn else { return [] }
        // If steps take long, waiting for an advancing rank is normal.
        let patience = max(limits.warnAfter, 2 * pace.median)
        guard stall.longestWait >= patience || stall.longestSilence >= limits.warnAfter else { return [] }
        sinceWarning = 0
        return [.warning(stall.description)]
    }

    /// A lone rank waits for nobody: it stalls if it neither computes nor enters another activity.
    private mutating func verdictAlone() -> [Notice] {
        let stall = "no progress for \(Self.rounded(idle)) s: \(activity.work), phase \"\(activity.phase)\""
        if limit > 0, idle >= limit {
            return [.hang("\(stall); inspect process \(process) (gdb -p, thread apply all bt), \(again)")]
        }
        let patience = max(limits.warnAfter, 2 * pace.median)
        guard limits.warnAfter > 0, idle >= patience, isTimeToWarn else { return [] }
        sinceWarning = 0
        return [.warning(stall)]
    }

    /// The last part of a remedy.
    var again: String {
        "then repeat the same command" + (resumes ? " to resume from the last checkpoint" : "")
    }

    private var isTimeToWarn: Bool { (sinceWarning ?? .infinity) >= limits.warnAfter * 0.99 }

    static func rounded(_ seconds: Double) -> String {
        seconds < 10 ? "\((seconds * 10).rounded() / 10)" : "\(Int(seconds.rounded()))"
    }
}

/// The duration of steps, derived from phase changes.
struct StepPace {
    private var first: Int?
    private var step: Int?
    private var elapsed = 0.0
    private var durations: [Double] = []
    private(set) var isStepping = false

    /// True during the first observed step.
    var isFirst: Bool { step == first }

    /// The median duration of the last steps in seconds; 0 before the second step has ended.
    var median: Double { durations.isEmpty ? 0 : durations.sorted()[durations.count / 2] }

    mutating func pass(_ seconds: Double, phase: String) {
        elapsed += seconds
        isStepping = phase.hasPrefix("step ")
        guard isStepping, let number = Int(phase.dropFirst(5)), number != step else { return }
        // The first step also includes one-time set-up.
        if let step, step != first, number > step {
            durations.append(elapsed / Double(number - step))
            if durations.count > 21 { durations.removeFirst() }
        }
        if first == nil { first = number }
        (step, elapsed) = (number, 0)
    }
}
