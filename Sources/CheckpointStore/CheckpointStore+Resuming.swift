public import Collectives
import FaultInjection
import Foundation
import Glibc

extension CheckpointStore {
    /// Where a run continues from.
    public enum Choice: Sendable, Equatable {
        /// The newest valid checkpoint; nothing if there is none at all.
        case auto
        /// This checkpoint and no other.
        case path(String)
    }

    /// A checkpoint that was chosen, the same on all ranks.
    public struct Resumed: Sendable {
        /// Its folder.
        public let path: String
        /// All values and counters of the run.
        public let state: CheckpointState
        /// Newer checkpoints that cannot be used, each with its reason.
        public let skipped: [String]
        /// The kernels it was computed with; nil in versions that do not record them.
        public let kernels: [CheckpointManifest.Kernels]?
        /// Keys in which this run or an earlier part of it differs from what it continued from, ascending.
        public let changedKeys: [String]
    }

    /// Chooses a checkpoint and sends it to all ranks; nil if the store is empty. Collective: rank 0 alone reads.
    ///
    /// - Parameter identity: The identity of this run; another run's checkpoint is rejected with a list of differences.
    /// - Parameter allowed: Keys that may differ.
    /// - Parameter passingOverOthers: True on rank 0 if another run's checkpoint counts as none, with `auto`.
    ///
    /// Throws `CheckpointError` on all ranks: `noneUsable` if all candidates are damaged, `damaged` for a damaged
    /// `path`, `changed`; and `CollectivesError`.
    public func resume(
        _ choice: Choice, identity: Identity, allowing allowed: [String], passingOverOthers: Bool = false,
        communicator: any Communicator
    ) throws -> Resumed? {
        communicator.phase = "resume"
        var verdict = Verdict()
        var state: CheckpointState?
        if communicator.isRoot {
            do throws(CheckpointError) {
                (verdict, state) = try choose(choice, identity, allowed)
            } catch {
                if !(passingOverOthers && choice == .auto && error.kind == .changed) { verdict.failure = error }
            }
        }
        let answer = try communicator.broadcast(bytes: Array(try JSONEncoder().encode(verdict)), from: 0)
        verdict = try JSONDecoder().decode(Verdict.self, from: Data(answer))
        if let failure = verdict.failure { throw failure }
        guard let manifest = verdict.manifest else { return nil }
        var vectors = state?.vectors ?? []
        if vectors.isEmpty {
            vectors = manifest.tensors.map { _ in [Float](repeating: 0, count: identity.parameterCount) }
        }
        for place in vectors.indices {
            try vectors[place].withUnsafeMutableBytes { try communicator.broadcast(buffer: $0, from: 0) }
        }
        let received = CheckpointState(manifest, vectors: vectors)
        // Versions that do not record changes may have had some: their image counts prove nothing.
        let changed = Set((manifest.changedKeys ?? [Self.unknownChange]) + allowed).sorted()
        return Resumed(
            path: verdict.path, state: received, skipped: verdict.skipped, kernels: manifest.kernels,
            changedKeys: changed)
    }

    /// Stands for the changes that a checkpoint of an earlier version may have seen.
    private static let unknownChange = "unknown"

    /// Rank 0's message to the others; the values follow.
    private struct Verdict: Codable {
        var path = ""
        /// Without its values.
        var manifest: CheckpointManifest?
        var skipped: [String] = []
        var failure: CheckpointError?
    }

    private func choose(
        _ choice: Choice, _ identity: Identity, _ allowed: [String]
    ) throws(CheckpointError) -> (Verdict, CheckpointState?) {
        var verdict = Verdict()
        let candidates: [String]
        switch choice {
        case .auto: candidates = try list().map(\.path)
        case .path(let path):
            guard access(path, F_OK) == 0 else {
                throw CheckpointError(
                    .missing, at: path, "there is no such checkpoint",
                    remedy: "kedge checkpoint list RUN shows those of a run")
            }
            candidates = [path]
        }
        for path in candidates {
            do throws(CheckpointError) {
                if let cause = Self.injectedFault() { throw .damaged(path, cause) }
                let (manifest, state) = try Self.load(path) { (manifest) throws(CheckpointError) in
                    try compare(manifest, identity, allowed, at: path)
                }
                (verdict.path, verdict.manifest) = (path, manifest)
                return (verdict, state)
            } catch {
                // A checkpoint of another run or a newer program is not damaged: falling back to an older one would
                // lose its work.
                if case .path = choice { throw error }
                if error.kind == .changed { throw error }
                verdict.skipped.append("\(error.path): \(error.reason)")
            }
        }
        guard candidates.isEmpty else {
            throw CheckpointError(
                .noneUsable, at: folder,
                "none of \(candidates.count) checkpoints can be used: " + verdict.skipped.joined(separator: "; "),
                remedy: "restore one from a backup, or start over with --overwrite")
        }
        return (verdict, nil)
    }

    private static func injectedFault() -> String? {
        do throws(InjectedFault) { try FaultInjector.check(.load) } catch { return error.description }
        return nil
    }

    /// Rejects a checkpoint of a run that differs in what affects the result.
    private func compare(
        _ manifest: CheckpointManifest, _ identity: Identity, _ allowed: [String], at path: String
    ) throws(CheckpointError) {
        let now = Dictionary(identity.settings.map { ($0.key, $0.value) }, uniquingKeysWith: { first, _ in first })
        let settings = identity.predecessors.read(manifest.settings)
        let known = Set(settings.map(\.key))
        var differences = settings.compactMap { old -> String? in
            let value = now[old.key] ?? "nothing"
            return value == old.value || allowed.contains(old.key) ? nil : "\(old.key) was \(old.value), is \(value)"
        }
        differences += identity.settings.filter { !known.contains($0.key) && !allowed.contains($0.key) }
            .map { "\($0.key) was nothing, is \($0.value)" }
        guard differences.isEmpty else {
            throw CheckpointError(
                .changed, at: path, "is of a run with other settings: " + differences.joined(separator: "; "),
                remedy:
                    "restore them, allow a key with --allow-change KEY, choose another run.name, or replace the run with "
                    + "--overwrite")
        }
        // With other data or batches before it, a run cannot know how many images its checkpoint has seen.
        if let images = identity.images?(manifest.step), manifest.changedKeys == [], allowed.isEmpty,
            images != manifest.images
        {
            throw .damaged(
                path + "/" + Self.manifestName,
                "states \(manifest.images) images, but this run has seen \(images) after step \(manifest.step)")
        }
        guard manifest.parameterCount == identity.parameterCount else {
            throw CheckpointError(
                .changed, at: path,
                "holds \(manifest.parameterCount) trainable numbers, this run has \(identity.parameterCount)",
                remedy: "choose another run.name, or replace the run with --overwrite")
        }
    }
}
