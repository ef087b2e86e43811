import Foundation

/// Reports on checkpoints for users.
public enum CheckpointReport {
    /// One line per checkpoint of a store, newest first: its steps and images, or its fault.
    ///
    /// Throws `CheckpointError` if the store cannot be read.
    public static func list(_ store: CheckpointStore) throws(CheckpointError) -> (lines: [String], usable: Int) {
        var usable = 0
        let found = try store.list()
        let best = CheckpointStore.best(
            of: found.compactMap { entry in (try? CheckpointStore.manifest(of: entry.path)).map { (entry, $0.score) } })
        let lines = found.map { entry -> String in
            do throws(CheckpointError) {
                let manifest = try CheckpointStore.verify(entry.path)
                usable += 1
                let score = manifest.score.map { ", mean IoU \(fixed($0))\(entry.step == best ? ", the best" : "")" }
                return "\(entry.path)  step \(manifest.step), \(manifest.images) images, written by "
                    + "\(manifest.worldSize) rank\(manifest.worldSize == 1 ? "" : "s")\(score ?? "")"
            } catch {
                return "\(entry.path)  UNUSABLE: \(error.path) \(error.reason)"
            }
        }
        return (lines, usable)
    }

    /// A checkpoint's manifest as lines. Throws `CheckpointError`.
    public static func show(_ path: String) throws(CheckpointError) -> [String] {
        let manifest = try CheckpointStore.verify(path)
        let counts = [
            ("step", manifest.step), ("images", manifest.images), ("updates", manifest.updates),
            ("skipped batches", manifest.skips), ("images left out", manifest.badSamples.count),
            ("trainable numbers", manifest.parameterCount),
        ]
        return counts.map { "\($0.0): \($0.1)" }
            + manifest.shards.map {
                "file \($0.name): \($0.bytes) bytes, numbers \($0.first) to \($0.first + $0.count)"
            }
            + manifest.scores.map {
                "score after step \($0.step), \($0.prompt): "
                    + $0.measures.map { "\($0.name) \($0.value)" }.joined(separator: ", ")
            }
            + (manifest.kernels ?? []).map(\.line)
            + manifest.settings.map { "\($0.key): \($0.value)" }
    }

    private static func fixed(_ value: Double) -> String { String(format: "%.4f", value) }

    /// Compares two checkpoints: settings, counts, and the distances of their values. Throws `CheckpointError`.
    public static func difference(_ first: String, _ second: String) throws(CheckpointError) -> [String] {
        let (old, oldState) = try CheckpointStore.load(first)
        let (new, newState) = try CheckpointStore.load(second)
        var lines: [String] = []
        let keys =
            old.settings.map(\.key)
            + new.settings.map(\.key).filter { key in
                !old.settings.contains { $0.key == key }
            }
        for key in keys {
            let values = [old, new].map { $0.settings.first { $0.key == key }?.value ?? "nothing" }
            if values[0] != values[1] { lines.append("\(key): \(values[0]), then \(values[1])") }
        }
        let kernels = [old, new].map { ($0.kernels ?? []).map(\.line).joined(separator: "; ") }
        if kernels[0] != kernels[1] { lines.append("kernels: \(kernels[0]), then \(kernels[1])") }
        for (name, values) in [
            ("step", (old.step, new.step)), ("images", (old.images, new.images)),
            ("updates", (old.updates, new.updates)), ("skipped batches", (old.skips, new.skips)),
            ("images left out", (old.badSamples.count, new.badSamples.count)),
        ] where values.0 != values.1 { lines.append("\(name): \(values.0), then \(values.1)") }
        let numbers = [
            ("parameters", oldState.parameters, newState.parameters),
            ("first moments", oldState.firstMoment, newState.firstMoment),
            ("second moments", oldState.secondMoment, newState.secondMoment),
        ]
        for (name, before, after) in numbers {
            guard before.count == after.count else {
                lines.append("\(name): \(before.count) numbers, then \(after.count)")
                continue
            }
            let differing = zip(before, after).count { $0.bitPattern != $1.bitPattern }
            let largest = zip(before, after).reduce(Float(0)) { max($0, abs($1.0 - $1.1)) }
            if differing > 0 { lines.append("\(name): \(differing) of \(before.count) differ, at most by \(largest)") }
        }
        return lines
    }
}
