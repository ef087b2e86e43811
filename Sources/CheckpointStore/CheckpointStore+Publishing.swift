import FaultInjection
import Foundation
import Glibc
import Tensors
import WeightFiles

// One process's disk operations; nothing here communicates with other ranks.

extension CheckpointStore {
    /// A rank's report on its file.
    struct ShardReport: Codable, Sendable {
        var shard: CheckpointManifest.Shard
        /// The reason why there is no file; empty if there is one.
        var fault: String
    }

    /// The folder in which a checkpoint is written before it is renamed.
    func temporaryFolder(step: Int, nonce: String) -> String {
        "\(folder)/\(Self.temporaryPrefix)\(Self.name(step: step).dropFirst(Self.prefix.count))-\(nonce)"
    }

    /// Writes and flushes a rank's file; the first rank to arrive creates the folder.
    func writeShard(_ slice: CheckpointState, rank: Int, of worldSize: Int, into temporary: String) -> ShardReport {
        let name = CheckpointManifest.Shard.name(rank: rank, of: worldSize)
        var report = ShardReport(
            shard: .init(name: name, bytes: 0, sha256: "", first: slice.first, count: slice.parameters.count), fault: ""
        )
        guard slice.isFinite else {
            report.fault = "parameters, moments or kept values are not finite"
            return report
        }
        let names = CheckpointManifest.tensors(kept: slice.kept.map(\.name))
        let tensors = zip(names, slice.vectors).map { TensorToWrite($0, Tensor($1, [$1.count])) }
        do {
            try FaultInjector.check(.save)
            try stand()
            guard mkdir(temporary, 0o755) == 0 || errno == EEXIST else {
                throw CheckpointError.cannotWrite(temporary, String(cString: strerror(errno)))
            }
            let written = try FaultInjector.$file.withValue(.shard) {
                try SafetensorsFile.write(tensors, to: temporary + "/" + name)
            }
            (report.shard.bytes, report.shard.sha256) = (written.byteCount, written.digest)
        } catch {
            report.fault = "\(error)"
        }
        return report
    }

    /// Writes the manifest, flushes the folder and renames it; on failure nothing else changes. Rank 0 alone.
    func publish(
        _ slice: CheckpointState, _ identity: Identity, _ shards: [CheckpointManifest.Shard], from temporary: String
    ) throws(CheckpointError) -> String {
        let path = folder + "/" + Self.name(step: slice.step)
        let manifest = CheckpointManifest(of: slice, identity, shards: shards)
        do {
            let text = Array(try manifest.sealed())
            try FaultInjector.$file.withValue(.manifest) {
                try AtomicFile.write(text, to: temporary + "/" + Self.manifestName)
            }
            try FaultInjector.check(.publish)
            try stand()
            try rename(temporary, to: path, step: slice.step)
        } catch {
            Self.remove(temporary)
            throw error as? CheckpointError ?? .cannotWrite(temporary, "\(error)")
        }
        _ = FaultInjector.reach(.published)
        // A hint for users; no code reads it.
        try? AtomicFile.write(Array((Self.name(step: slice.step) + "\n").utf8), to: folder + "/LATEST")
        return path
    }

    private func rename(_ temporary: String, to path: String, step: Int) throws(CheckpointError) {
        // The same step again, after a resume from an older one: the same bits, or the existing one is damaged.
        let former = "\(folder)/\(Self.trashPrefix)\(Self.name(step: step))-\(getpid())"
        let replaces = Glibc.rename(path, former) == 0
        guard Glibc.rename(temporary, path) == 0 else {
            let number = errno
            if replaces { Glibc.rename(former, path) }
            throw Self.refused(path, number)
        }
        flush()
        if replaces { Self.remove(former) }
    }

    /// The error of a folder that could not be renamed.
    private static func refused(_ path: String, _ number: Int32) -> CheckpointError {
        let reason = String(cString: strerror(number))
        guard [ENOSYS, EOPNOTSUPP, EINVAL, EXDEV].contains(number) else { return .cannotWrite(path, reason) }
        return CheckpointError(
            .cannotWrite, at: path, "its file system cannot rename a folder: \(reason)",
            remedy: "choose a run.folder on another file system; checkpoints appear by a rename")
    }

    /// Removes checkpoints other than the newest and the best. Failures cost only disk space.
    ///
    /// The newest are the last `keep`; with `keptEvery`, the last `keep` at its multiples and the last two of all.
    ///
    /// Only checkpoints up to the one just published count, and of those only ones with a valid manifest:
    /// newer ones belong to a past that this run has left, and are renamed out of the way.
    func retain(after step: Int) {
        guard loss == nil else { return }
        let all = (try? list()) ?? []
        for newer in all where newer.step > step {
            let aside = folder + "/stale-" + Self.name(step: newer.step)
            Self.remove(aside)
            Glibc.rename(newer.path, aside)
        }
        let believed = all.filter { $0.step <= step }.compactMap { found in
            (try? Self.manifest(of: found.path)).map { (found, $0.score) }
        }
        let steps = believed.map(\.0.step)
        let newest = Array(steps.prefix(keptEvery > 0 ? 2 : keep))
        // A damaged one stays until enough whole ones are newer.
        guard let oldest = newest.last else { return }
        let milestones = keptEvery > 0 ? steps.filter { $0 > 0 && $0 % keptEvery == 0 }.prefix(keep) : []
        let kept = newest + milestones + [Self.best(of: believed)].compactMap(\.self)
        for old in all where old.step < oldest && !kept.contains(old.step) {
            guard loss == nil else { return }
            let trash = "\(folder)/\(Self.trashPrefix)\(Self.name(step: old.step))-\(getpid())"
            guard Glibc.rename(old.path, trash) == 0 else { continue }
            _ = FaultInjector.reach(.retention)
            Self.remove(trash)
        }
    }

    /// The step with the highest score, the newest of equals; nil if none has a score.
    static func best(of scored: [(Found, Double?)]) -> Int? {
        scored.compactMap { found, score in score.map { (step: found.step, score: $0) } }
            .max { ($0.score, $0.step) < ($1.score, $1.step) }?.step
    }

    /// Removes the half-written or half-deleted leftovers of killed runs and returns their names. For the holder of the
    /// run's lock alone.
    func removeLeftovers() -> [String] {
        let names = ((try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []).sorted().filter {
            $0.hasPrefix(Self.trashPrefix) || $0.hasPrefix(Self.temporaryPrefix) || $0.hasPrefix(Self.probePrefix)
        }
        for name in names { Self.remove(folder + "/" + name) }
        return names
    }

    static func remove(_ path: String) { try? FileManager.default.removeItem(atPath: path) }

    /// Makes names durable; some file systems cannot flush a folder, for which there is no remedy.
    private func flush() {
        let descriptor = Glibc.open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { return }
        fsync(descriptor)
        close(descriptor)
    }
}
