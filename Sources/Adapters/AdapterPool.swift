import Foundation
import Tensors
public import WeightFiles

// A pool's folder:
//   pool.json                     the manifest: base weights, domains in the order of training, SHA-256 of every file
//   001-NAME.safetensors ...      one adaptation per domain, each an ordinary adapter file
//   001-NAME.memory.safetensors   what a router must know of the domain's images
//   router-1.safetensors          what chooses among them, if they are more than one
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

    /// What the manifest states.
    private struct Manifest: Codable, Equatable {
        var version = AdapterPool.version
        var model: String
        var baseDigest: String
        var view: String
        var entries: [Entry] = []
        var router: File?
    }

    /// The name of the manifest in the folder.
    public static let manifestName = "pool.json"
    private static let version = 1

    /// The folder.
    public let path: String
    private var manifest: Manifest

    /// The kind of base model, as in recipes.
    public var model: String { manifest.model }
    /// The digest of the base weights.
    public var baseDigest: String { manifest.baseDigest }
    /// How images are brought to the model's square for the router, as in `evaluation.view`.
    public var view: String { manifest.view }
    /// The adaptations, in the order of training.
    public var entries: [Entry] { manifest.entries }
    /// The file of the router, if there is one.
    public var router: File? { manifest.router }
    /// The path of a file of the pool.
    public func path(of file: File) -> String { path + "/" + file.name }

    /// Begins a pool of adaptations of one base model; nothing is written yet.
    public init(_ path: String, model: String, baseDigest: String, view: String) {
        (self.path, manifest) = (path, Manifest(model: model, baseDigest: baseDigest, view: view))
    }

    /// Opens a pool and checks that every file is the one its manifest names.
    ///
    /// Throws `WeightFileError` for a folder that is no pool, a damaged manifest, and a missing or changed file.
    public init(opening path: String) throws(WeightFileError) {
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
        for file in Self.files(of: manifest) { try check(file) }
    }

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

    private func check(_ file: File) throws(WeightFileError) {
        let path = path(of: file)
        guard FileManager.default.fileExists(atPath: path) else {
            throw WeightFileError(
                .pool, path: path, found: "no such file, though \(Self.manifestName) names it",
                remedy: "put it back, or remove its domain with kedge pool remove")
        }
        let digest = try FileDigest.sha256(of: path)
        guard digest == file.sha256 else {
            throw WeightFileError(
                .pool, path: path,
                found: "SHA-256 \(digest.prefix(12)), not \(file.sha256.prefix(12)) as in \(Self.manifestName)",
                remedy: "put the file of this pool back, or remove its domain with kedge pool remove")
        }
    }

    // MARK: Changes

    /// Adds an adaptation as the last domain. Throws `WeightFileError` if it cannot be written.
    ///
    /// - Parameter permission: Asked right before each file appears.
    public mutating func append(
        _ domain: Domain, _ adapted: AdaptedModel, _ options: AdapterOptions, _ description: AdapterFile.Description,
        ifAllowed permission: () throws(WeightFileError) -> Void = {}
    ) throws(WeightFileError) {
        precondition(!entries.contains { $0.domain == domain.name }, "two domains \(domain.name)")
        let numbers = entries.compactMap { $0.file.name.split(separator: "-").first.flatMap { Int($0) } }
        let number = String((numbers.max() ?? 0) + 1)
        let name = String(repeating: "0", count: max(0, 3 - number.count)) + "\(number)-\(domain.name)"
        let digest = try AdapterFile.write(
            adapted, options, description, to: "\(path)/\(name).safetensors", ifAllowed: permission)
        let width = domain.memory.first?.count ?? 0
        let queries = Tensor(domain.memory.flatMap(\.self), [domain.memory.count, width])
        let memory = try SafetensorsFile.write(
            [TensorToWrite(Self.queriesName, queries)], metadata: ["format": "pt"],
            to: "\(path)/\(name).memory.safetensors", ifAllowed: permission
        ).digest
        manifest.entries.append(
            Entry(
                domain: domain.name, file: File(name: "\(name).safetensors", sha256: digest), steps: domain.steps,
                images: domain.images, memory: File(name: "\(name).memory.safetensors", sha256: memory),
                memoryImages: domain.memoryImages))
        try write(ifAllowed: permission)
    }

    private static let queriesName = "queries"

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

    /// Forgets the entries after the first ones; their files are overwritten when such domains are added again.
    public mutating func keepFirst(_ count: Int) {
        manifest.entries = Array(manifest.entries.prefix(count))
    }

    /// Removes the adaptation to a domain; the others keep their bytes. A router that knows it is removed too.
    ///
    /// Throws `WeightFileError` if there is none of that name, or if the manifest cannot be written.
    public mutating func remove(_ domain: String) throws(WeightFileError) {
        guard let place = entries.firstIndex(where: { $0.domain == domain }) else {
            let known = entries.map(\.domain).joined(separator: ", ")
            throw WeightFileError(
                .pool, path: path, found: "no domain \(domain)",
                remedy: known.isEmpty ? "the pool is empty" : "choose one of: \(known)")
        }
        let entry = manifest.entries.remove(at: place)
        let gone = [entry.file, entry.memory] + [manifest.router].compactMap(\.self)
        manifest.router = nil
        try write()
        for file in gone { try? FileManager.default.removeItem(atPath: path(of: file)) }
    }

    /// Names a router that was written into the folder.
    ///
    /// - Parameter write: Writes the file at a path and returns its SHA-256.
    public mutating func setRouter(
        ifAllowed permission: () throws(WeightFileError) -> Void = {},
        _ write: (_ path: String) throws(WeightFileError) -> String
    ) throws(WeightFileError) {
        let old = manifest.router
        let number =
            old.flatMap { $0.name.split(whereSeparator: { "-.".contains($0) }).lazy.compactMap { Int($0) }.first } ?? 0
        let name = "router-\(number + 1).safetensors"
        let digest = try write(path + "/" + name)
        manifest.router = File(name: name, sha256: digest)
        try self.write(ifAllowed: permission)
        if let old { try? FileManager.default.removeItem(atPath: path(of: old)) }
    }

    private func write(ifAllowed permission: () throws(WeightFileError) -> Void = {}) throws(WeightFileError) {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        guard let data = try? encoder.encode(manifest) else { preconditionFailure("a manifest is plain data") }
        try AtomicFile.write(Array(data) + [10], to: path + "/" + Self.manifestName, ifAllowed: permission)
    }
}
