import Foundation
import Imaging
import Testing

@Suite struct EncodingTests {
    @Test(arguments: [1, 3])
    func pngRoundTripIsExact(channels: Int) throws {
        let image = Image(width: 17, height: 9, channels: channels, pixels: pattern(17 * 9 * channels))
        #expect(try ImageFile.decode(bytes: ImageFile.encodePNG(image)) == image.rgb())
    }

    @Test(arguments: [UInt16(1), 255, 256, 65535])
    func labelRoundTripIsExact(largest: UInt16) throws {
        var labels = pattern(17 * 9).map { UInt16($0) % min(largest, 255) }
        labels[20] = largest
        let image = LabelImage(width: 17, height: 9, labels: labels)
        let encoded = try LabelFile.encodePNG(image)
        #expect(encoded[24] == (largest <= 255 ? 8 : 16))
        #expect(try LabelFile.decode(bytes: encoded) == image)
    }

    @Test func jpegStaysClose() throws {
        var image = Image(width: 33, height: 18, channels: 3)
        for y in 0..<18 {
            for x in 0..<33 { image.setPixel(x: x, y: y, Colour(UInt8(7 * x), UInt8(14 * y), 128)) }
        }
        let encoded = try ImageFile.encodeJPEG(image, quality: 95)
        let decoded = try ImageFile.decode(bytes: encoded)
        #expect(decoded.width == 33 && decoded.height == 18)
        #expect(zip(decoded.pixels, image.pixels).allSatisfy { abs(Int($0) - Int($1)) <= 12 })
        #expect(try ImageFile.encodeJPEG(image, quality: 20).count < encoded.count)
        let grey = Image(width: 33, height: 18, channels: 1, filledWith: 90)
        #expect(try ImageFile.decode(bytes: ImageFile.encodeJPEG(grey)) == grey.rgb())
    }

    @Test func imagesWithoutPixelsAreErrors() {
        #expect(throws: ImagingError.self) { try ImageFile.encodePNG(Image(width: 0, height: 3, channels: 3)) }
        #expect(throws: ImagingError.self) { try ImageFile.encodeJPEG(Image(width: 70_000, height: 1, channels: 1)) }
    }

    @Test func writingReplacesTheFileAndLeavesNothingBehind() throws {
        try Fixture.withTemporaryFolder { folder in
            let path = folder + "/picture.png"
            try Image(width: 2, height: 2, channels: 3, filledWith: 1).writePNG(to: path)
            let second = Image(width: 3, height: 2, channels: 3, filledWith: 2)
            try second.writePNG(to: path)
            #expect(try ImageFile.decode(path: path) == second)
            try LabelImage(width: 1, height: 1, labels: [9]).writePNG(to: folder + "/labels.png")
            let names = try FileManager.default.contentsOfDirectory(atPath: folder).sorted()
            #expect(names == ["labels.png", "picture.png"])
        }
    }

    @Test func unwritablePlacesAreNamed() throws {
        let error = #expect(throws: ImagingError.self) {
            try ImageFile.write([1], to: "/nonexistent-folder/picture.png")
        }
        #expect(error?.code == .unwritable)
        try Fixture.withTemporaryFolder { folder in
            // A folder at the target path: the rename fails and the temporary file is removed.
            try FileManager.default.createDirectory(atPath: folder + "/taken", withIntermediateDirectories: false)
            let taken = #expect(throws: ImagingError.self) { try ImageFile.write([1], to: folder + "/taken") }
            #expect(taken?.code == .unwritable)
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["taken"])
        }
    }
}
