import Foundation
import Imaging
package import TestSupport

extension TemporaryFolder {
    /// Writes a JPEG of one colour that states an Exif orientation below `images`.
    package func addOriented(_ name: String, _ orientation: UInt8, width: Int, height: Int) throws {
        let file = path + "/images/" + name
        try Image(width: width, height: height, channels: 3, filledWith: 9 + orientation).writeJPEG(to: file)
        let directory: [UInt8] = [0, 1, 0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, orientation, 0, 0, 0, 0, 0, 0]
        let segment = Array("Exif\0\0MM\0*\0\0\0\u{8}".utf8) + directory
        let bytes = try Data(contentsOf: URL(fileURLWithPath: file))
        let marker: [UInt8] = [0xff, 0xe1, 0, UInt8(segment.count + 2)]
        try (bytes.prefix(2) + Data(marker + segment) + bytes.dropFirst(2)).write(to: URL(fileURLWithPath: file))
    }
}
