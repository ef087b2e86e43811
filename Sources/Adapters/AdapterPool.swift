import Foundation
import Tensors
public import WeightFiles

// A pool's folder:
//   pool.json                     the manifest: base weights, domains in the order of training, SHA-256 of every file
//   001-NAME.safetensors ...      one adaptation per domain, each an ordinary adapter file
//   001-NAME.memory.safetensors   what a router must know of the domain's images
//   router-3f2a...safetensors     what chooses among them, if they are more than one; named by its SHA-256
// A file is written before the manifest that names it, and removed after; so the folder is whole at any moment.

/// Adaptations of one base model to several domains, in a folder with a manifest.
public struct AdapterPool: Sendable, Equatable {
    /// A file of the pool.
    public struct File: Codable, Sendable, Equatable {
        /// Its name in the folder.
        public let name: String
        /// SHA-256 of its bytes.
        public let sha256: String
    }

    /// The adaptation to one domain.
    public struct Entry: Codable, Sendable, Equatable {
        /// The domain.
        public let domain: String
        /// The adapter file.
        public let file: File
        /// Steps of its training.
        public let steps: Int
        /// Images of its training.
        public let images: Int
        /// The queries by which a router learns to recognise the domain, one for each memory image.
        public let memory: File
        /// The names of the memory images.
        public let memoryImages: [String]
    }

    /// What is added with an adaptation.
    public struct Domain: Sendable {
        /// Its name.
        public let name: String
        /// Steps of its training.
        public let steps: Int
        /// Images of its training.
        public let images: Int
        /// The queries of its memory images. // n x [D]
        public let memory: [[Float]]
        /// Their names.
        public let memoryImages: [String]

        /// Describes a domain by its images.
        public init(_ name: String, steps: Int, images: Int, memory: [[Float]], memoryImages: [String]) {
            precondition(memory.count == memoryImages.count, "\(memory.count) queries of \(memoryImages.count) images")
            (self.name, self.steps, self.images) = (name, steps, images)
            (self.memory, self.memoryImages) = (memory, memoryImages)
        }
    }

    /// How the router is trained: the same numbers give the same router again.
    public struct Routing: Codable, Sendable, Equatable {
        /// What it reads of an image, as in `continual.query`, but never `auto`.
        public let query: String
        /// Seed of its tokens, of its head and of the order of memory images.
        public let seed: UInt64
        /// Deviations beyond the memory images at which it rejects an image, as in `continual.rejectBeyond`; 0 for never.
        public let rejectBeyond: Double
        /// True if its tokens were trained over images; nil if they stayed as drawn.
        public let trainsTokens: Bool?

        /// Joins the settings.
        public init(query: String, seed: UInt64, rejectBeyond: Double, trainsTokens: Bool? = nil) {
            (self.query, self.seed, self.rejectBeyond) = (query, seed, rejectBeyond)
            self.trainsTokens = trainsTokens
        }
    }

    /// What the manifest states.
    struct Manifest: Codable, Equatable {
        var version = AdapterPool.version
        var model: String
        var baseDigest: String
        var view: String
        var routing: Routing
        var entries: [Entry] = []
        var router: File?
    }

    /// The name of the manifest in the folder.
    public static let manifestName = "pool.json"
    private static let version = 2

    /// The folder.
    public internal(set) var path: String
    var manifest: Manifest

    /// The kind of base model, as in recipes.
    public var model: String { manifest.model }
    /// The digest of the base weights.
    public var baseDigest: String { manifest.baseDigest }
    /// How images are brought to the model's square for the router, as in `evaluation.view`.
    public var view: String { manifest.view }
    /// How the router is trained.
    public var routing: Routing { manifest.routing }
    /// The adaptations, in the order of training.
    public var entries: [Entry] { manifest.entries }
    /// The file of the router, if there is one.
    public var router: File? { manifest.router }
    /// The path of a file of the pool.
    public func path(of file: File) -> String { path + "/" + file.name }

    /// Begins a pool of adaptations of one base model; nothing is written yet.
    public init(_ path: String, model: String, baseDigest: String, view: String, routing: Routing) {
        (self.path, manifest) = (path, Manifest(model: model, baseDigest: baseDigest, view: view, routing: routing))
    }

    /// Opens a pool and checks that every file is the one its manifest names.
    ///
    /// Throws `WeightFileError` for a folder that is no pool, a damaged manifest, and a missing or changed file.
    public init(opening path: String) throws(WeightFileError) {
        try self.init(forRepair: path)
        for file in files { try check(file) }
    }

    /// Opens a pool by its manifest alone: its files may be missing or damaged.
    ///
    /// Throws `WeightFileError` for a folder that is no pool, and for a damaged manifest.
    public init(forRepair path: String) throws(WeightFileError) {
        self.path = path
        let file = path + "/" + Self.manifestName
        guard let data = FileManager.default.contents(atPath: file) else {
            throw WeightFileError(
                .fileUnreadable, path: file, found: "no such file",
                remedy: "give the folder of a pool, such as runs/NAME/pool")
        }
        guard let manifest = try? JSONDecoder().decode(Manifest.self, from: data), manifest.version == Self.version,
            Self.isSound(manifest)
        else {
            throw WeightFileError(
                .pool, path: file, found: "no manifest of a pool of version \(Self.version)",
                remedy: "take the pool from a backup, or train it again")
        }
        self.manifest = manifest
    }

    /// All files but the manifest: two for each domain in their order, then the router.
    public var files: [File] { Self.files(of: manifest) }

    private static func files(of manifest: Manifest) -> [File] {
        manifest.entries.flatMap { [$0.file, $0.memory] } + [manifest.router].compactMap(\.self)
    }

    /// Names are plain and unique: a manifest never leads out of its folder.
    private static func isSound(_ manifest: Manifest) -> Bool {
        let files = files(of: manifest).map(\.name)
        let domains = manifest.entries.map(\.domain)
        return files.allSatisfy { !$0.isEmpty && !$0.contains("/") && !$0.hasPrefix(".") }
            && Set(files).count == files.count && Set(domains).count == domains.count
    }

    /// The damage of a file, if there is any: it is missing, or not the one that the manifest names.
    public func damage(of file: File) -> WeightFileError? {
        do throws(WeightFileError) { try check(file) } catch { return error }
        return nil
    }

    func check(_ file: File) throws(WeightFileError) {
        let path = path(of: file)
        let remedy =
            file == router
            ? "put it back, or train the router again with kedge pool train-router"
            : "put it back, or remove its domain with kedge pool remove"
        guard FileManager.default.fileExists(atPath: path) else {
            throw WeightFileError(
                .pool, path: path, found: "no such file, though \(Self.manifestName) names it", remedy: remedy)
        }
        let digest = try FileDigest.sha256(of: path)
        guard digest == file.sha256 else {
            throw WeightFileError(
                .pool, path: path,
                found: "SHA-256 \(digest.prefix(12)), not \(file.sha256.prefix(12)) as in \(Self.manifestName)",
                remedy: remedy)
        }
    }

    static let queriesName = "queries"

    /// The queries of a domain's memory images. Throws `WeightFileError`. // n x [D]
    public func memory(of entry: Entry) throws(WeightFileError) -> [[Float]] {
        let table = try SafetensorsFile.read(path(of: entry.memory))
        let queries = try table.tensor(Self.queriesName)
        guard queries.shape.rank == 2, queries.shape[0] == entry.memoryImages.count else {
            throw WeightFileError(
                .pool, path: path(of: entry.memory),
                found: "queries of shape \(queries.shape) for \(entry.memoryImages.count) images",
                remedy: "put the file of this pool back, or remove its domain with kedge pool remove")
        }
        return (0..<queries.shape[0]).map { queries.rows($0..<$0 + 1).elements }
    }

    /// The queries of the memory images of some domains, of one width. // T x n x [D]
    ///
    /// - Parameter width: D; nil for that of the first query.
    ///
    /// Throws `WeightFileError`, also for queries of another width.
    public func memory(of entries: [Entry], width: Int? = nil) throws(WeightFileError) -> [[[Float]]] {
        var all: [[[Float]]] = []
        for entry in entries {
            all.append(try memory(of: entry))
            let expected = width ?? all.lazy.joined().first?.count
            guard let other = all[all.count - 1].first(where: { $0.count != expected }) else { continue }
            throw WeightFileError(
                .pool, path: path(of: entry.memory), found: "queries of \(other.count) numbers, not \(expected ?? 0)",
                remedy: "put the file of this pool back, or remove its domain with kedge pool remove")
        }
        return all
    }

    /// SHA-256 over base weights, view, query and adaptations with their memory: what a router is trained on, not the
    /// router itself.
    public var digest: String {
        let digest = SHA256Digest()
        var lines = [model, baseDigest, view, routing.query, String(routing.seed)]
        for entry in entries { lines += [entry.domain, entry.file.sha256, entry.memory.sha256] }
        digest.update(Array(lines.map { $0 + "\n" }.joined().utf8))
        return digest.hexadecimal()
    }
}
