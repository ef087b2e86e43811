import Foundation

/// Small files that the project's writers, Pillow, PyTorch and the reference safetensors library made, sound ones and broken ones.
enum Corpus {
    /// The files of one folder, in the order of their names.
    static func files(of name: String) throws -> [[UInt8]] {
        guard let folder = Bundle.module.url(forResource: "Corpus/\(name)", withExtension: nil) else { return [] }
        return try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted().map {
            [UInt8](try Data(contentsOf: folder.appendingPathComponent($0)))
        }
    }
}
