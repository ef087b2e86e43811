import Foundation
import Imaging
import Testing

/// What an image file states about its orientation, JPEG and PNG, and PNG files that were cut short.
@Suite struct OrientationTests {
    private let image = Image(width: 3, height: 2, channels: 1, pixels: [1, 2, 3, 4, 5, 6])

    /// The picture as a PNG with an eXIf chunk, before or behind the pixels.
    private func png(_ orientation: UInt8, behind: Bool = false) throws -> [UInt8] {
        let plain = try ImageFile.encodePNG(image)
        let directory: [UInt8] = [0, 1, 0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, orientation, 0, 0, 0, 0, 0, 0]
        let body = Array("eXIfMM\0*\0\0\0\u{8}".utf8) + directory
        var crc: UInt32 = .max
        for byte in body {
            crc ^= UInt32(byte)
            for _ in 0..<8 { crc = crc & 1 == 1 ? crc >> 1 ^ 0xEDB8_8320 : crc >> 1 }
        }
        let chunk = [0, 0, 0, UInt8(body.count - 4)] + body + (0..<4).map { UInt8(~crc >> (24 - 8 * $0) & 255) }
        let place = behind ? plain.count - 12 : 33
        return Array(plain[..<place]) + chunk + Array(plain[place...])
    }

    @Test func pngStatesAnOrientation() throws {
        let turned = try ImageFile.decode(bytes: png(6), exif: .apply)
        #expect((turned.width, turned.height) == (2, 3))
        #expect(stride(from: 0, to: 18, by: 3).map { turned.pixels[$0] } == [4, 1, 5, 2, 6, 3])
        #expect(try ImageFile.decode(bytes: png(6)) == ImageFile.decode(bytes: ImageFile.encodePNG(image)))
        #expect(try ImageFile.decode(bytes: png(6, behind: true), exif: .apply).width == 3)
        try Fixture.withTemporaryFolder { folder in
            try Data(png(3)).write(to: URL(fileURLWithPath: folder + "/a.png"))
            try Data(png(8)).write(to: URL(fileURLWithPath: folder + "/b.png"))
            try image.writePNG(to: folder + "/c.png")
            let heads = try ["a", "b", "c"].map { try ImageHead(path: "\(folder)/\($0).png", exif: .apply) }
            #expect(heads.map(\.orientation) == [.rotatedHalf, .rotatedLeft, nil])
            #expect(heads.map(\.width) == [3, 2, 3])
            #expect(try ImageFile.size(path: folder + "/b.png", exif: .ignore) == (3, 2))
        }
        for orientation in 1...8 {
            let head = try ImageHead(path: Fixture.path("exif-\(orientation).jpg"))
            #expect(head.orientation?.rawValue == (orientation == 1 ? nil : orientation))
        }
    }

    /// A chunk may say that it is longer than the file.
    @Test func headersOfDamagedPNGs() throws {
        try Fixture.withTemporaryFolder { folder in
            var bytes = try png(6)
            bytes[33] = 0x7f
            for count in [33, 40, 60, bytes.count] {
                try Data(bytes.prefix(count)).write(to: URL(fileURLWithPath: folder + "/a.png"))
                let head = try ImageHead(path: folder + "/a.png")
                #expect(head.width == 3 && head.orientation == nil)
            }
        }
    }

    @Test func aCutFileSaysWhatIsMissing() throws {
        let whole = try ImageFile.encodePNG(image)
        func cause(_ count: Int) -> String? {
            #expect(throws: ImagingError.self) { try ImageFile.decode(bytes: Array(whole.prefix(count))) }?.cause
        }
        #expect(cause(whole.count - 12)?.contains("its pixels are there, but the file is cut short") == true)
        #expect(cause(whole.count - 5)?.contains("(IEND)") == true)
        #expect(cause(whole.count - 20)?.hasSuffix("the data ends inside the image") == true)
    }
}
