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
    /// Seconds a rank waits for its file before it starts the next step: enough for a local disk, and with the
    /// remaining costs below the 0.2 s that a save may take. With long steps, a save sealed immediately is published
    /// much earlier.
    private static let patience = 0.1
    private var lastSave = ContinuousClock.now
    /// The save in progress: its step, its begin, and how long training was blocked by it.
    private var current = (step: 0, begin: ContinuousClock.now, stall: Duration.zero)

    package init(
        _ recipe: Recipe, folder: RunFolder, identity: CheckpointStore.Identity, communicator: any Communicator
    ) {
        (settings, self.identity, self.communicator) = (recipe.checkpoint, identity, communicator)
        store = CheckpointStore(folder: folder.checkpoints, keep: recipe.checkpoint.keep)
    }

    /// The state to resume from, on all ranks; nil if there is none or nothing was chosen. Collective.
    ///
    /// Throws `CheckpointError`, and `RunError` for a key that no checkpoint has.
    package mutating func resume(
        _ choice: CheckpointStore.Choice?, allowing keys: [String]
    ) throws -> CheckpointStore.Resumed? {
        if let unknown = keys.first(where: { key in !identity.settings.contains { $0.key == key } }) {
            throw RunError(
                .configuration, "--allow-change \(unknown): no such key",
                remedy: "use a recipe key that affects the result, weights or images")
        }
        let resumed = try choice.flatMap {
            try store.resume($0, identity: identity, allowing: keys, communicator: communicator)
        }
        if let resumed {
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

    /// The signals this rank sends to the others when it enters a step.
    package var signals: SavingSignals {
        let isDue = settings.everySeconds > 0 && ContinuousClock.now - lastSave >= .seconds(settings.everySeconds)
        return SavingSignals(
            isShardWritten: writer?.isShardWritten ?? false, isDue: isDue, isBusy: writer?.isBusy ?? false,
            isFailing: failuresInARow >= settings.maximumFailures)
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
        current = (state.step, ContinuousClock.now, .zero)
        lastSave = current.begin
        writer?.begin(state)
        guard waits || isNeeded || !settings.background else {
            try writer?.seal(within: Self.patience)
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

    /// The error of a run whose checkpoints cannot be saved.
    package var failure: RunError {
        RunError(
            .cannotWrite, "\(failuresInARow) checkpoints in a row could not be saved in \(store.folder)",
            remedy: "free disk space or fix the folder; the same command resumes from the last checkpoint")
    }

    /// Counts and logs an outcome; returns the error of a failed one.
    private mutating func note(_ outcome: CheckpointWriter.Saved, log: RunLog) -> RunError? {
        switch outcome {
        case .published(let path, let seconds):
            failuresInARow = 0
            log.fact(
                CheckpointFact(
                    path: path, step: current.step, seconds: seconds, blockedSeconds: current.stall / .seconds(1)))
            return nil
        case .failed(let reason):
            failuresInARow += 1
            let line = "checkpoint after step \(current.step) failed (\(failuresInARow) in a row): \(reason)"
            if communicator.isRoot { log.warning(line) }
            return RunError(
                .cannotWrite, line,
                remedy: "free disk space or fix the folder; the same command resumes from the last checkpoint")
        }
    }
}
