package import Training
package import CheckpointStore
package import Collectives
import Foundation
package import Telemetry

/// A run's dealings with its checkpoints: when one is due, what goes in, and what to do when saving fails.
package struct RunCheckpoints {
    package let store: CheckpointStore
    private var identity: CheckpointStore.Identity
    private let settings: CheckpointSettings
    private let communicator: any Communicator
    private var writer: CheckpointWriter?
    private var failuresInARow = 0
    /// Seconds a rank waits for its file before it goes on with the next step: enough for a local disk, and with what
    /// comes on top below the 0.2 s that a save may cost. With long steps a save that is sealed at once stands much earlier.
    private static let patience = 0.1
    private var lastSave = ContinuousClock.now
    /// Of the save under way: its step, when it began, and how long the training waited for it.
    private var current = (step: 0, begin: ContinuousClock.now, stall: Duration.zero)

    package init(
        _ recipe: Recipe, folder: RunFolder, identity: CheckpointStore.Identity, communicator: any Communicator
    ) {
        (settings, self.identity, self.communicator) = (recipe.checkpoint, identity, communicator)
        store = CheckpointStore(folder: folder.checkpoints, keep: recipe.checkpoint.keep)
    }

    /// The state to go on from, on all ranks; nil when there is none or nothing was chosen. Collective.
    ///
    /// Throws `CheckpointError`, and `RunError` for a key that no checkpoint has.
    package mutating func resume(
        _ choice: CheckpointStore.Choice?, allowing keys: [String]
    ) throws -> CheckpointStore.Resumed? {
        if let unknown = keys.first(where: { key in !identity.settings.contains { $0.key == key } }) {
            throw RunError(
                .configuration, "--allow-change \(unknown): no such key",
                remedy: "name a recipe key that shapes the result, weights or images")
        }
        let resumed = try choice.flatMap {
            try store.resume($0, identity: identity, allowing: keys, communicator: communicator)
        }
        if let resumed {
            identity.kernels = (resumed.kernels ?? []).followed(by: identity.kernels, at: resumed.state.step)
        }
        return resumed
    }

    /// Makes ready to save. Collective; throws `CheckpointError` where a rank cannot write.
    package mutating func open(log: RunLog) throws {
        let leftovers = try store.open(communicator: communicator)
        if !leftovers.isEmpty {
            log.message(.info, "removed what a killed run left: \(leftovers.joined(separator: ", "))")
        }
        writer = try CheckpointWriter(store, identity: identity, communicator: communicator)
    }

    /// What this rank tells the others when it enters a step.
    package var signals: SavingSignals {
        let isDue = settings.everySeconds > 0 && ContinuousClock.now - lastSave >= .seconds(settings.everySeconds)
        return SavingSignals(
            isShardWritten: writer?.isShardWritten ?? false, isDue: isDue, isBusy: writer?.isBusy ?? false,
            isFailing: failuresInARow >= settings.maximumFailures)
    }

    /// Begins a save, after the one under way if there is one. Collective.
    ///
    /// - Parameters:
    ///   - waits: True to return only when it stands.
    ///   - isNeeded: True where the run may not go on or end without it: at the start, and when it is to be continued
    ///     later.
    ///
    /// Throws `RunError` when a needed one fails; other failures are warnings, counted by rank 0.
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

    /// Goes on with a save under way, without waiting for a disk. Collective, after every step.
    package mutating func proceed(areShardsWritten: Bool, log: RunLog) throws {
        guard let writer else { return }
        let begin = ContinuousClock.now
        if writer.isWriting, areShardsWritten { try writer.seal() }
        let outcome = writer.takeOutcome()
        current.stall += ContinuousClock.now - begin
        if let outcome { _ = note(outcome, log: log) }
    }

    /// Waits for the save under way, if there is one. Collective.
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
            remedy: "make room or mend the folder; the same command goes on from the last checkpoint")
    }

    /// Counts and logs an outcome; the error it would be if it were needed.
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
                remedy: "make room or mend the folder; the same command goes on from the last checkpoint")
        }
    }
}
