public import Collectives
import Foundation
import Glibc
import Tensors
import WeightFiles

extension CheckpointStore {
    /// What all ranks know after a save.
    public enum Saved: Sendable, Equatable {
        /// The checkpoint stands under this path.
        case published(path: String)
        /// Nothing new stands, nothing older was touched.
        case failed(reason: String)
    }

    /// What of a run's identity goes into the manifest.
    public struct Identity: Sendable {
        /// What shapes the result.
        public var settings: [CheckpointManifest.Setting]
        /// Trainable numbers of all ranks.
        public var parameterCount: Int

        /// Puts an identity together.
        public init(settings: [CheckpointManifest.Setting], parameterCount: Int) {
            (self.settings, self.parameterCount) = (settings, parameterCount)
        }
    }

    /// Writes a checkpoint. Collective; every rank brings its slice, and all get the same answer.
    ///
    /// A failure of any rank (no space, no right to write, an I/O error) is an answer, not an error: the run may go on.
    /// Throws `CollectivesError`.
    public func save(
        _ slice: CheckpointState, identity: Identity, communicator: any Communicator
    ) throws -> Saved {
        communicator.phase = "checkpoint \(slice.step)"
        let temporary = "\(folder)/.tmp-\(Self.name(step: slice.step).dropFirst(Self.prefix.count))"
        let prepared = try told(communicator) { () throws(CheckpointError) in try prepare(temporary) }
        if let prepared { return .failed(reason: prepared) }
        let report = Self.write(slice, into: temporary, communicator)
        let reports = try communicator.allGather(bytes: Array(try JSONEncoder().encode(report))).map {
            try JSONDecoder().decode(ShardReport.self, from: Data($0))
        }
        if let rank = reports.firstIndex(where: { !$0.fault.isEmpty }) {
            if communicator.isRoot { Self.remove(temporary) }
            return .failed(reason: "rank \(rank) on \(communicator.hostNames[rank]): \(reports[rank].fault)")
        }
        let path = folder + "/" + Self.name(step: slice.step)
        let published = try told(communicator) { () throws(CheckpointError) in
            try publish(slice, identity, reports.map(\.shard), from: temporary, to: path)
        }
        if let published { return .failed(reason: published) }
        if communicator.isRoot { retain(after: slice.step) }
        return .published(path: path)
    }

    private struct ShardReport: Codable {
        var shard: CheckpointManifest.Shard
        var fault: String
    }

    /// Lets rank 0 do something; the reason why it could not, or nil, on all ranks.
    private func told(
        _ communicator: any Communicator, _ work: () throws(CheckpointError) -> Void
    ) throws -> String? {
        var fault = ""
        if communicator.isRoot {
            do throws(CheckpointError) { try work() } catch { fault = error.description }
        }
        let answer = String(decoding: try communicator.broadcast(bytes: Array(fault.utf8), from: 0), as: UTF8.self)
        return answer.isEmpty ? nil : answer
    }

    private func prepare(_ temporary: String) throws(CheckpointError) {
        // What a killed run left under this name; two runs never share a store, because one holds the lock.
        Self.remove(temporary)
        do {
            try FileManager.default.createDirectory(atPath: temporary, withIntermediateDirectories: true)
        } catch {
            throw Self.cannotWrite(temporary, (error as NSError).localizedDescription)
        }
    }

    private static func write(
        _ slice: CheckpointState, into temporary: String, _ communicator: any Communicator
    ) -> ShardReport {
        func two(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }
        let name = "state-\(two(communicator.rank))-of-\(two(communicator.worldSize)).safetensors"
        var report = ShardReport(
            shard: .init(name: name, bytes: 0, sha256: "", first: slice.first, count: slice.parameters.count), fault: ""
        )
        let values = [slice.parameters, slice.firstMoment, slice.secondMoment]
        let tensors = zip(ShardTensor.allCases, values).map {
            TensorToWrite($0.rawValue, Tensor($1, [$1.count]))
        }
        guard values.allSatisfy({ $0.allSatisfy(\.isFinite) }) else {
            report.fault = "parameters or moments are not finite"
            return report
        }
        do throws(WeightFileError) {
            let written = try SafetensorsFile.write(tensors, to: temporary + "/" + name)
            (report.shard.bytes, report.shard.sha256) = (written.byteCount, written.digest)
        } catch {
            report.fault = "\(error)"
        }
        return report
    }

    /// Writes the manifest, flushes the folder and gives it its name. Rank 0 alone.
    private func publish(
        _ slice: CheckpointState, _ identity: Identity, _ shards: [CheckpointManifest.Shard], from temporary: String,
        to path: String
    ) throws(CheckpointError) {
        let manifest = CheckpointManifest(
            of: slice, parameterCount: identity.parameterCount, settings: identity.settings, shards: shards)
        do throws(WeightFileError) {
            let file = temporary + "/" + Self.manifestName
            let text = (try? manifest.sealed()).map { Array($0) } ?? []
            try AtomicFile.write(to: file) { (descriptor) throws(WeightFileError) in
                try text.withUnsafeBytesTyped { (raw) throws(WeightFileError) in
                    try AtomicFile.put(raw, into: descriptor, path: file)
                }
            }
        } catch {
            Self.remove(temporary)
            throw Self.cannotWrite(temporary, "\(error)")
        }
        // The same step again, after a resume from an older one: the same bits, or what stands there is damaged.
        let former = folder + "/.trash-\(Self.name(step: slice.step))-\(getpid())"
        let replaces = rename(path, former) == 0
        guard rename(temporary, path) == 0 else {
            let reason = String(cString: strerror(errno))
            if replaces { rename(former, path) }
            Self.remove(temporary)
            throw Self.cannotWrite(path, reason)
        }
        Self.flush(folder)
        // A hint for people; nothing reads it.
        try? Data((Self.name(step: slice.step) + "\n").utf8).write(
            to: URL(fileURLWithPath: folder + "/LATEST"), options: .atomic)
    }

    /// Removes what is older than the newest `keep` and what killed runs left. Failures cost disk space alone.
    ///
    /// Only checkpoints up to the one just published count, and of those only such with a manifest that can be believed:
    /// what is newer belongs to a past that this run has left, and is set aside under another name.
    private func retain(after step: Int) {
        let all = (try? list()) ?? []
        for newer in all where newer.step > step {
            let aside = folder + "/stale-" + Self.name(step: newer.step)
            Self.remove(aside)
            rename(newer.path, aside)
        }
        let believed = all.filter { $0.step <= step && (try? Self.manifest(of: $0.path)) != nil }
        guard let oldestKept = believed.prefix(keep).last else { return }
        for old in all where old.step < oldestKept.step {
            let trash = folder + "/.trash-" + Self.name(step: old.step) + "-\(getpid())"
            if rename(old.path, trash) == 0 { Self.remove(trash) }
        }
        for name in ((try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []).sorted()
        where name.hasPrefix(".trash-") || name.hasPrefix(".tmp-") { Self.remove(folder + "/" + name) }
    }

    private static func remove(_ path: String) { try? FileManager.default.removeItem(atPath: path) }

    private static func flush(_ folder: String) {
        let descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { return }
        fsync(descriptor)
        close(descriptor)
    }

    private static func cannotWrite(_ path: String, _ reason: String) -> CheckpointError {
        CheckpointError(
            .cannotWrite, at: path, "cannot be written: \(reason)",
            remedy: "free disk space or give a folder that can be written")
    }
}
