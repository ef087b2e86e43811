import Foundation

/// Small valid and invalid files written by the project, Pillow, PyTorch and the reference safetensors library.
enum Corpus {
    /// The files of one folder, in order of their names.
    static func files(of name: String) throws -> [[UInt8]] {
        guard let folder = Bundle.module.url(forResource: "Corpus/\(name)", withExtension: nil) else { return [] }
        return try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted().map {
            [UInt8](try Data(contentsOf: folder.appendingPathComponent($0)))
        }
    }
}
