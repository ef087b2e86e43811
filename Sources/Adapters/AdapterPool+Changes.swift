import Foundation
import Glibc
import Tensors
public import WeightFiles

// A file is written before the manifest that names it, and removed after; so a pool is whole at any moment, and a command
// that is killed has changed it or has not.

extension AdapterPool {
    /// Writes the router's file at a path and returns its SHA-256.
    public typealias WriteRouter = (_ path: String) throws(WeightFileError) -> String

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

    /// Forgets the entries after the first ones; their files are overwritten when such domains are added again.
    public mutating func keepFirst(_ count: Int) {
        manifest.entries = Array(manifest.entries.prefix(count))
    }

    /// The domains without some of them.
    ///
    /// Throws `WeightFileError` for a name that no domain has.
    public func entries(without domains: [String]) throws(WeightFileError) -> [Entry] {
        if let unknown = domains.first(where: { name in !entries.contains { $0.domain == name } }) {
            let known = entries.map(\.domain).joined(separator: ", ")
            throw WeightFileError(
                .pool, path: path, found: "no domain \(unknown)",
                remedy: known.isEmpty ? "the pool is empty" : "choose one of: \(known)")
        }
        return entries.filter { !domains.contains($0.domain) }
    }

    /// Removes the adaptations to some domains, whose files may be missing or damaged; the others keep their bytes and are
    /// not looked at.
    ///
    /// - Parameter write: Writes the router of the remaining domains, which takes the place of the old one in the same
    ///   manifest; nil for a pool without a router.
    ///
    /// Throws `WeightFileError` for a name that no domain has, and for what cannot be written; the pool then is as it was.
    public mutating func remove(_ domains: [String], router write: WriteRouter? = nil) throws(WeightFileError) {
        let kept = try entries(without: domains)
        let new = try write.map { (write) throws(WeightFileError) in try routerFile(write) }
        let old = files
        manifest.entries = kept
        manifest.router = new
        try self.write()
        let named = files.map(\.name)
        for file in old where !named.contains(file.name) {
            try? FileManager.default.removeItem(atPath: path(of: file))
        }
    }

    /// Names a router that was written into the folder, in place of an earlier one.
    ///
    /// - Parameter routing: How it was trained.
    public mutating func setRouter(
        trainedBy routing: Routing, ifAllowed permission: () throws(WeightFileError) -> Void = {}, _ write: WriteRouter
    ) throws(WeightFileError) {
        let old = manifest.router
        manifest.router = try routerFile(write)
        manifest.routing = routing
        try self.write(ifAllowed: permission)
        if let old, old.name != manifest.router?.name { try? FileManager.default.removeItem(atPath: path(of: old)) }
    }

    /// Writes a router beside the one that the manifest names, or in the place of the same one.
    ///
    /// Its name is that of its contents: a pool has the same files however often a router was trained on the way.
    private func routerFile(_ write: WriteRouter) throws(WeightFileError) -> File {
        let unnamed = path + "/router-new.safetensors"
        let digest = try write(unnamed)
        let file = File(name: "router-\(digest.prefix(12)).safetensors", sha256: digest)
        guard rename(unnamed, path(of: file)) == 0 else {
            throw WeightFileError(
                .writable, path: path(of: file), found: String(cString: strerror(errno)),
                remedy: "check the folder and its permissions, and repeat the command")
        }
        return file
    }

    /// A copy of the pool in another folder, byte for byte; its manifest comes last.
    ///
    /// - Parameter permission: Asked right before each file appears.
    ///
    /// Throws `WeightFileError` for a file that is not the one the manifest names, and if the copy cannot be written.
    public func copied(
        to folder: String, ifAllowed permission: () throws(WeightFileError) -> Void = {}
    ) throws(WeightFileError) -> AdapterPool {
        do { try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true) } catch {
            throw WeightFileError(
                .writable, path: folder, found: (error as NSError).localizedDescription,
                remedy: "choose a folder that may be written")
        }
        var copy = self
        copy.path = folder
        for file in files {
            guard let bytes = FileManager.default.contents(atPath: path(of: file)) else {
                throw WeightFileError(
                    .fileUnreadable, path: path(of: file), found: "it cannot be read",
                    remedy: "check that it exists and may be read")
            }
            let digest = SHA256Digest()
            digest.update(Array(bytes))
            guard digest.hexadecimal() == file.sha256 else {
                throw WeightFileError(
                    .unchanged, path: path(of: file), found: "other bytes than \(Self.manifestName) names",
                    remedy: "let nothing write to the pool meanwhile, and repeat the command")
            }
            try AtomicFile.write(Array(bytes), to: copy.path(of: file), ifAllowed: permission)
        }
        try copy.write(ifAllowed: permission)
        return copy
    }

    private func write(ifAllowed permission: () throws(WeightFileError) -> Void = {}) throws(WeightFileError) {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        guard let data = try? encoder.encode(manifest) else { preconditionFailure("a manifest is plain data") }
        try AtomicFile.write(Array(data) + [10], to: path + "/" + Self.manifestName, ifAllowed: permission)
    }
}
