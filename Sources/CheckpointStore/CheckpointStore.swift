import Foundation
import Glibc
import Tensors
import WeightFiles

// checkpoints/
//   step-000012/state-00-of-04.safetensors ...   a rank's slice: parameters, first_moment, second_moment, what a
//                                                strategy keeps of the stage before
//   step-000012/manifest.json                    written last; a folder without it is not a checkpoint
//   .tmp-000016-4f3a.../                         being written, or left by a run that was killed
//   .trash-step-000004-17/                       being deleted, or left by a run that was killed
//   stale-step-000020                            newer than the checkpoint a run resumed from; kept for inspection
//   LATEST                                       the newest one's name, a hint for users
//
// A checkpoint is created by renaming its finished, flushed folder. Nothing is deleted before something newer
// exists, and folders are renamed before deletion, so a kill at any instant leaves only whole checkpoints under step-*.

/// The checkpoints of one run.
public struct CheckpointStore: Sendable {
    /// The folder that holds them.
    public let folder: String
    /// How many of the newest are kept, beside the best.
    public let keep: Int
    /// The distance of the steps that `keep` counts, if it does not count every checkpoint.
    public let keptEvery: Int
    /// The run's folder, as far as it is known to be this run's.
    let ground: Ground

    /// Creates the store of a run without touching the disk.
    ///
    /// - Parameters:
    ///   - keep: How many of the newest checkpoints are kept; at least two, so that a damaged one is not the last.
    ///   - keptEvery: If not 0, `keep` counts only checkpoints at multiples of this number of steps, and the newest two
    ///     are kept in addition.
    ///   - lock: The lock of the run's folder, on the rank that holds it.
    public init(folder: String, keep: Int = 2, keptEvery: Int = 0, lock: RunLock? = nil) {
        precondition(keep >= 2, "at least two checkpoints are kept")
        (self.folder, self.keep, self.keptEvery) = (folder, keep, keptEvery)
        ground = Ground(lock: lock)
    }

    /// The part of a run's identity that the manifest records.
    public struct Identity: Sendable {
        /// The settings that affect the result.
        public var settings: [CheckpointManifest.Setting]
        /// Number of trainable values of all ranks.
        public var parameterCount: Int
        /// The number of images that this run has processed after a step; nil past its end.
        public var images: (@Sendable (_ step: Int) -> Int?)?
        /// Keys in which the run has differed from a checkpoint it continued from, ascending.
        package var changedKeys: [String] = []
        /// The kernels of the steps; other kernels are no reason to reject a checkpoint.
        public var kernels: [CheckpointManifest.Kernels]

        /// How the settings of earlier versions are read.
        public var predecessors: Predecessors

        /// Puts an identity together.
        public init(
            settings: [CheckpointManifest.Setting], parameterCount: Int, kernels: [CheckpointManifest.Kernels] = [],
            predecessors: Predecessors = Predecessors(), images: (@Sendable (_ step: Int) -> Int?)? = nil
        ) {
            self.images = images
            (self.settings, self.parameterCount, self.kernels) = (settings, parameterCount, kernels)
            self.predecessors = predecessors
        }
    }

    /// How the settings in manifests of earlier versions are read.
    public struct Predecessors: Sendable {
        /// Keys that have another name now.
        public var renamed: [(old: String, new: String)]
        /// Keys that say nothing about this run.
        public var ignored: [String]
        /// The values that keys of later versions stand for where a manifest lacks them.
        public var defaults: [(key: String, value: String)]

        /// Nothing has changed, by default.
        public init(
            renamed: [(old: String, new: String)] = [], ignored: [String] = [],
            defaults: [(key: String, value: String)] = []
        ) {
            (self.renamed, self.ignored, self.defaults) = (renamed, ignored, defaults)
        }

        /// A manifest's settings as this version would write them.
        func read(_ settings: [CheckpointManifest.Setting]) -> [CheckpointManifest.Setting] {
            let present = settings.filter { !ignored.contains($0.key) }.map { setting in
                CheckpointManifest.Setting(
                    key: renamed.first { $0.old == setting.key }?.new ?? setting.key, value: setting.value)
            }
            let missing = defaults.filter { row in !present.contains { $0.key == row.key } }
            return present + missing.map { CheckpointManifest.Setting(key: $0.key, value: $0.value) }
        }
    }

    /// A checkpoint found on disk.
    public struct Found: Sendable, Equatable {
        /// Its folder.
        public let path: String
        /// Steps done, from the folder's name.
        public let step: Int
    }

    static let prefix = "step-"
    static let temporaryPrefix = ".tmp-"
    static let trashPrefix = ".trash-"
    static let manifestName = "manifest.json"

    static func name(step: Int) -> String {
        let digits = String(step)
        return prefix + String(repeating: "0", count: max(0, 6 - digits.count)) + digits
    }

    /// All checkpoint folders, newest first; `verify` checks whether they are valid.
    ///
    /// Throws `CheckpointError` if the folder exists but cannot be read: that is not the same as empty.
    public func list() throws(CheckpointError) -> [Found] {
        guard access(folder, F_OK) == 0 || errno != ENOENT else { return [] }
        let names: [String]
        do { names = try FileManager.default.contentsOfDirectory(atPath: folder) } catch {
            throw CheckpointError(
                .damaged, at: folder, "cannot be read: \((error as NSError).localizedDescription)",
                remedy: "fix its permissions or its disk")
        }
        return names.compactMap { name -> Found? in
            guard name.hasPrefix(Self.prefix), let step = Int(name.dropFirst(Self.prefix.count)), step >= 0,
                Self.name(step: step) == name
            else { return nil }
            return Found(path: folder + "/" + name, step: step)
        }.sorted { $0.step > $1.step }
    }

    /// The step in the name of a checkpoint's folder; nil for names that are not of this form.
    static func step(named path: String) -> Int? {
        let last = path.split(separator: "/").last.map(String.init) ?? path
        guard let digits = last.firstRange(of: prefix).map({ last[$0.upperBound...] }) else { return nil }
        return digits.allSatisfy(\.isNumber) ? Int(digits) : nil
    }

    /// Reads a checkpoint's manifest. Throws `CheckpointError` of kind `damaged` or `changed`.
    public static func manifest(of path: String) throws(CheckpointError) -> CheckpointManifest {
        let file = path + "/" + manifestName
        let attributes = try? FileManager.default.attributesOfItem(atPath: file)
        guard let size = attributes?[.size] as? Int, attributes?[.type] as? FileAttributeType == .typeRegular else {
            throw .damaged(file, "is missing")
        }
        guard size <= CheckpointManifest.byteLimit, let data = FileManager.default.contents(atPath: file) else {
            throw .damaged(file, "cannot be read")
        }
        let manifest = try CheckpointManifest(reading: data, at: file)
        if let step = step(named: path), step != manifest.step {
            throw .damaged(file, "states step \(manifest.step), its folder's name says \(step)")
        }
        return manifest
    }

    /// Reads a whole checkpoint and compares every file with the manifest.
    ///
    /// - Parameter accepting: Checks the manifest before any shard is read; throws to reject it.
    ///
    /// Throws `CheckpointError` of kind `damaged` or `changed`, and the errors of `accepting`.
    public static func load(
        _ path: String, accepting: (CheckpointManifest) throws(CheckpointError) -> Void = { _ in }
    ) throws(CheckpointError) -> (CheckpointManifest, CheckpointState) {
        let manifest = try manifest(of: path)
        try accepting(manifest)
        var vectors = [[Float]](repeating: [], count: manifest.tensors.count)
        for shard in manifest.shards {
            let parts = try tensors(manifest.tensors, of: shard, at: path + "/" + shard.name)
            for place in vectors.indices { vectors[place] += parts[place] }
        }
        let state = CheckpointState(manifest, vectors: vectors)
        guard state.optimizerUpdates > 0 || (state.firstMoment + state.secondMoment).allSatisfy({ $0 == 0 }) else {
            throw .damaged(path, "states no update, but holds moments of updates")
        }
        return (manifest, state)
    }

    /// The values of a shard's tensors.
    private static func tensors(
        _ wanted: [String], of shard: CheckpointManifest.Shard, at file: String
    ) throws(CheckpointError) -> [[Float]] {
        func damaged(_ reason: String) -> CheckpointError { .damaged(file, reason) }
        var status = stat()
        guard lstat(file, &status) == 0 else { throw damaged("is missing") }
        guard status.st_mode & S_IFMT == S_IFREG, Int(status.st_size) == shard.bytes else {
            throw damaged("has \(status.st_size) bytes, the manifest says \(shard.bytes)")
        }
        let (digest, names, parts): (String, [String], [[Float]])
        do throws(WeightFileError) {
            let table = try SafetensorsFile.read(file)
            (digest, names) = (try table.fileDigest(), table.names)
            parts = try wanted.map { name throws(WeightFileError) in try table.tensor(name).elements }
            try table.checkUnchanged()
        } catch {
            throw damaged("\(error)")
        }
        guard digest == shard.sha256 else { throw damaged("has another SHA-256 than the manifest says") }
        guard parts.allSatisfy({ $0.count == shard.count }), names.count == parts.count else {
            throw damaged("holds other tensors than the manifest says")
        }
        guard parts.allSatisfy({ $0.allSatisfy(\.isFinite) }) else {
            throw damaged("holds numbers that are not finite")
        }
        guard parts[2].allSatisfy({ $0 >= 0 }) else {
            throw damaged("holds negative means of squares")
        }
        return parts
    }

    /// Verifies a checkpoint and returns its manifest; throws its fault.
    public static func verify(_ path: String) throws(CheckpointError) -> CheckpointManifest { try load(path).0 }
}
