import Foundation
import Glibc

/// Files for parsers that need a path, in memory if the system has such a folder.
public enum Scratch {
    /// The prefix of paths used only by this process.
    static let path: String = {
        let memory = "/dev/shm"
        let folder = access(memory, W_OK) == 0 ? memory : NSTemporaryDirectory()
        return "\(folder)/kedge-fuzz-\(getpid())-"
    }()

    static func write(_ bytes: [UInt8], to file: String) throws {
        let descriptor = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw FuzzFinding("\(file) cannot be written") }
        defer { close(descriptor) }
        try require(Glibc.write(descriptor, bytes, bytes.count) == bytes.count, "\(file) cannot be written")
    }

    static func read(_ file: String) throws -> [UInt8] { [UInt8](try Data(contentsOf: URL(fileURLWithPath: file))) }

    /// Removes the files of this process.
    public static func clear() {
        let prefix = URL(fileURLWithPath: path).lastPathComponent
        let folder = URL(fileURLWithPath: path).deletingLastPathComponent().path
        for name in (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? [] where name.hasPrefix(prefix) {
            try? FileManager.default.removeItem(atPath: folder + "/" + name)
        }
    }
}
