package import CheckpointStore
package import Collectives
import Datasets
import Foundation
import LowRankAdaptation
package import Telemetry
import WeightFiles

/// A run's dealings with its checkpoints: when one is due, what goes in, and what to do when saving fails.
package struct RunCheckpoints {
    package let store: CheckpointStore
    private let identity: CheckpointStore.Identity
    private let settings: Recipe.Checkpoint
    private let communicator: any Communicator
    private var failuresInARow = 0
    private var lastSave = ContinuousClock.now

    package init(
        _ recipe: Recipe, folder: RunFolder, loaded: LoadedModel, data: TrainingData, parameterCount: Int,
        communicator: any Communicator
    ) {
        settings = recipe.checkpoint
        self.communicator = communicator
        store = CheckpointStore(folder: folder.checkpoints, keep: recipe.checkpoint.keep)
        var resolved = recipe
        resolved.preprocessing = recipe.resolvedPreprocessing
        let shaping = RecipeReference.fields.filter(\.shapesResult).map {
            CheckpointManifest.Setting(key: $0.key, value: "\($0.value(resolved))")
        }
        let digest = SHA256Digest()
        for index in 0..<data.training.count { digest.update(Array((data.training.id(index) + "\n").utf8)) }
        identity = CheckpointStore.Identity(
            settings: shaping + [
                .init(key: "weights", value: loaded.baseDigest), .init(key: "images", value: digest.hexadecimal()),
            ], parameterCount: parameterCount)
    }

    /// The state to go on from, on all ranks; nil when there is none or nothing was chosen. Collective.
    ///
    /// Throws `CheckpointError`, and `TrainingError` for a key that no checkpoint has.
    package func resume(
        _ choice: CheckpointStore.Choice?, allowing keys: [String]
    ) throws -> CheckpointStore.Resumed? {
        if let unknown = keys.first(where: { key in !identity.settings.contains { $0.key == key } }) {
            throw TrainingError(
                .configuration, "--allow-change \(unknown): no such key",
                remedy: "name a recipe key that shapes the result, weights or images")
        }
        return try choice.flatMap {
            try store.resume($0, identity: identity, allowing: keys, communicator: communicator)
        }
    }

    /// True when the clock says so; asked on rank 0.
    package var isDue: Bool {
        settings.everySeconds > 0 && ContinuousClock.now - lastSave >= .seconds(settings.everySeconds)
    }

    /// Saves. Collective; a failure is a warning until there are too many in a row.
    ///
    /// - Parameter isNeeded: True where the run may not go on or end without it: at the start, and when it is to be
    ///   continued later.
    ///
    /// Throws `TrainingError`.
    package mutating func save(_ state: CheckpointState, isNeeded: Bool = false, log: RunLog) throws {
        let started = ContinuousClock.now
        let saved = try store.save(state, identity: identity, communicator: communicator)
        lastSave = ContinuousClock.now
        switch saved {
        case .published(let path):
            failuresInARow = 0
            let seconds = (lastSave - started) / .seconds(1)
            log.message(.info, "checkpoint \(path), \(String(format: "%.3f", seconds)) s")
        case .failed(let reason):
            failuresInARow += 1
            let line = "checkpoint after step \(state.step) failed (\(failuresInARow) in a row): \(reason)"
            guard failuresInARow < settings.maximumFailures, !isNeeded else {
                throw TrainingError(
                    .cannotWrite, line,
                    remedy: "make room or mend the folder; the same command goes on from the last checkpoint")
            }
            if communicator.isRoot { log.warning(line) }
        }
    }
}
