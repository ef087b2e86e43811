package import CheckpointStore
package import Collectives
import Foundation
package import Telemetry
package import Training

/// The checkpoints of a run: when to save, what to store, and how to handle a failed save.
package struct RunCheckpoints {
    package let store: CheckpointStore
    private var identity: CheckpointStore.Identity
    private let settings: CheckpointSettings
    private let communicator: any Communicator
    private var writer: CheckpointWriter?
    private var failuresInARow = 0
    private let start = ContinuousClock.now
    private var clock: SaveClock
    /// When the current step began, and how long it or the latest one took.
    private var step = (begin: ContinuousClock.now, seconds: 0.0)
    /// When a checkpoint was last mentioned in the log.
    private var lastMention: ContinuousClock.Instant?
    /// The save in progress: its step, its begin, how long training was blocked by it, and whether it waits for the
    /// disk.
    private var current = (step: 0, begin: ContinuousClock.now, stall: Duration.zero, waits: false)

    package init(
        _ recipe: Recipe, folder: RunFolder, identity: CheckpointStore.Identity, communicator: any Communicator
    ) {
        (settings, self.identity, self.communicator) = (recipe.checkpoint, identity, communicator)
        clock = SaveClock(settings.everySeconds)
        // Saves by the measured cost come too often to keep a history; the steps that were asked for make one.
        store = CheckpointStore(
            folder: folder.checkpoints, keep: settings.keep,
            keptEvery: settings.everySeconds == .automatic ? settings.everySteps : 0, lock: folder.lock)
    }

    /// The state to resume from, on all ranks; nil if there is none or nothing was chosen. Collective.
    ///
    /// - Parameter isUnbegun: True on rank 0 if the run in the folder never made a step; with another recipe it is then
    ///   no run to continue.
    ///
    /// Throws `CheckpointError`, and `RunError` for a key that no checkpoint has.
    package mutating func resume(
        _ choice: CheckpointStore.Choice?, allowing keys: [String], isUnbegun: Bool = false
    ) throws -> CheckpointStore.Resumed? {
        if let unknown = keys.first(where: { key in !identity.settings.contains { $0.key == key } }) {
            throw RunError(
                .configuration, "--allow-change \(unknown): no such key",
                remedy: "use a recipe key that affects the result, weights or images")
        }
        let resumed = try choice.flatMap {
            try store.resume(
                $0, identity: identity, allowing: keys, passingOverOthers: isUnbegun, communicator: communicator)
        }
        if let resumed {
            identity.changedKeys = resumed.changedKeys
            identity.kernels = (resumed.kernels ?? []).followed(by: identity.kernels, at: resumed.state.step)
        }
        return resumed
    }

    /// Prepares for saving. Collective; throws `CheckpointError` if a rank cannot write.
    package mutating func open(log: RunLog) throws {
        let leftovers = try store.open(communicator: communicator)
        if !leftovers.isEmpty {
            log.message(.info, "removed leftovers of a killed run: \(leftovers.joined(separator: ", "))")
        }
        writer = try CheckpointWriter(store, identity: identity, communicator: communicator)
    }

    private var seconds: Double { (ContinuousClock.now - start) / .seconds(1) }

    /// A step begins.
    package mutating func enterStep() { step.begin = .now }

    /// A step has ended.
    package mutating func leaveStep() { step.seconds = (ContinuousClock.now - step.begin) / .seconds(1) }

    /// The signals this rank sends to the others during a step.
    package var signals: SavingSignals {
        let isBusy = writer.map { $0.isBusy && !$0.hasOutcome } ?? false
        return SavingSignals(
            isShardWritten: writer?.isShardWritten ?? false,
            isDue: clock.isDue(at: seconds, step: (ContinuousClock.now - step.begin) / .seconds(1)), isBusy: isBusy,
            isFailing: failuresInARow >= settings.maximumFailures,
            isFolderLost: communicator.isRoot && store.loss != nil)
    }

    /// Throws on all ranks if the folder is no longer this run's. Collective, before final files are written.
    package func confirmFolder() throws {
        communicator.phase = "run folder"
        let mine = communicator.isRoot ? [store.loss].compactMap(\.self) : []
        let told = try communicator.broadcast(bytes: Array(try JSONEncoder().encode(mine)), from: 0)
        if let loss = try JSONDecoder().decode([CheckpointError].self, from: Data(told)).first { throw loss }
    }

    /// Begins a save, after the one in progress if any. Collective.
    ///
    /// - Parameters:
    ///   - waits: True to return only once it is published.
    ///   - isNeeded: True if the run may not continue or end without it: at the start, and when it is to be resumed
    ///     later.
    ///
    /// Throws `RunError` if a needed save fails; other failures are warnings, counted by rank 0.
    package mutating func save(
        _ state: CheckpointState, waits: Bool = false, isNeeded: Bool = false, log: RunLog
    ) throws {
        try settle(log: log)
        current = (state.step, ContinuousClock.now, .zero, waits || isNeeded)
        clock.saved(at: seconds)
        writer?.begin(state)
        guard waits || isNeeded || !settings.background else {
            try writer?.seal(within: clock.patience(step: step.seconds))
            current.stall = ContinuousClock.now - current.begin
            return
        }
        try settle(isNeeded: isNeeded, log: log)
    }

    /// Advances a save in progress without waiting for a disk. Collective, after every step.
    package mutating func proceed(areShardsWritten: Bool, log: RunLog) throws {
        guard let writer else { return }
        let begin = ContinuousClock.now
        if writer.isWriting, areShardsWritten { try writer.seal() }
        let outcome = writer.takeOutcome()
        current.stall += ContinuousClock.now - begin
        if let outcome { _ = note(outcome, log: log) }
    }

    /// Waits for the save in progress, if any. Collective.
    ///
    /// Throws `RunError` if it is needed and fails.
    package mutating func settle(isNeeded: Bool = false, log: RunLog) throws {
        let begin = ContinuousClock.now
        communicator.activity.work(at: "writing a checkpoint")
        let outcome = try writer?.finish()
        communicator.activity.work(at: "computing")
        current.stall += ContinuousClock.now - begin
        guard let outcome, let failure = note(outcome, log: log), isNeeded else { return }
        throw failure
    }

    /// True if the log states the current save: of those that only the clock asked for with `auto`, one a minute.
    private var isMentioned: Bool {
        if current.waits || settings.everySeconds != .automatic { return true }
        if settings.everySteps > 0, current.step % settings.everySteps == 0 { return true }
        return lastMention.map { ContinuousClock.now - $0 >= .seconds(60) } ?? true
    }

    /// The error of a run whose checkpoints cannot be saved.
    package var failure: RunError {
        RunError(
            .cannotWrite, "\(failuresInARow) checkpoints in a row could not be saved in \(store.folder)",
            remedy: "free disk space or fix the folder; \(continuation)")
    }

    /// What the same command does after a failure, by what is on the disk.
    private var continuation: String {
        let isEmpty = (try? store.list())?.isEmpty ?? false
        return "the same command "
            + (isEmpty ? "starts over: no checkpoint is left" : "continues from the last checkpoint")
    }

    /// Counts and logs an outcome; returns the error of a failed one.
    private mutating func note(_ outcome: CheckpointWriter.Saved, log: RunLog) -> (any Error)? {
        switch outcome {
        case .lost(let loss):
            return loss
        case .published(let path, let seconds):
            failuresInARow = 0
            if !current.waits { clock.note(cost: current.stall / .seconds(1) + (writer?.workSeconds ?? 0)) }
            guard isMentioned else { return nil }
            lastMention = .now
            log.fact(
                CheckpointFact(
                    path: path, step: current.step, seconds: seconds, blockedSeconds: current.stall / .seconds(1)))
            return nil
        case .failed(let reason):
            failuresInARow += 1
            let line = "checkpoint after step \(current.step) failed (\(failuresInARow) in a row): \(reason)"
            if communicator.isRoot { log.warning(line) }
            return RunError(.cannotWrite, line, remedy: continuation)
        }
    }
}
