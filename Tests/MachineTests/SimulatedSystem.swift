import Foundation

/// Files of a made-up system, in place of `/proc` and `/sys`.
func withSystem<Answer>(_ files: [String: String], _ ask: (_ root: String) throws -> Answer) throws -> Answer {
    let root = FileManager.default.temporaryDirectory.appendingPathComponent("kedge-system-\(UUID().uuidString)")
    defer { try? FileManager.default.removeItem(at: root) }
    for (name, text) in files {
        let file = root.appendingPathComponent(name)
        try FileManager.default.createDirectory(at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
        try Data(text.utf8).write(to: file)
    }
    return try ask(root.path)
}
