import Foundation

/// A folder for one test, removed with its contents when its last user is released.
public final class TemporaryFolder: Sendable {
    /// Its path.
    public let path: String

    /// Creates a folder with a unique name that begins with `kedge-` and a word, and empty folders in it.
    public init(_ word: String, folders: [String] = []) throws {
        path = FileManager.default.temporaryDirectory.path + "/kedge-\(word)-\(UUID().uuidString)"
        for folder in [path] + folders.map({ path + "/" + $0 }) {
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        }
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }
}
