import Foundation
import Imaging
import Testing

private let corpora = ProcessInfo.processInfo.environment["KEDGE_CORPORA_DIR"]

/// Decodes folders of images made to break decoders; runs when KEDGE_CORPORA_DIR names one.
@Suite(.enabled(if: corpora != nil)) struct CorpusTests {
    @Test func everyFileDecodesOrThrows() throws {
        let root = try #require(corpora)
        let names = try FileManager.default.subpathsOfDirectory(atPath: root).sorted()
        var decoded = 0
        for name in names {
            let path = root + "/" + name
            do {
                let image = try ImageFile.decode(path: path, exif: .apply)
                #expect(try ImageFile.size(path: path, exif: .apply) == (image.width, image.height), "\(path)")
                decoded += 1
            } catch {
                #expect(error is ImagingError, "\(path): \(error)")
            }
            do { _ = try LabelFile.decode(path: path) } catch { #expect(error is ImagingError, "\(path): \(error)") }
        }
        #expect(decoded > 0, "no file under \(root) could be decoded")
    }
}
