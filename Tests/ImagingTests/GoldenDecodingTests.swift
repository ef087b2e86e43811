import Imaging
import Testing

private let pngKinds = [
    "grey1", "grey2", "grey4", "grey8", "grey16", "rgb8", "rgb16", "palette1", "palette2", "palette4", "palette8",
    "grey-alpha8", "grey-alpha16", "rgba8", "rgba16", "grey8-trns", "rgb8-trns", "palette8-trns", "rgb8-gamma",
    "grey8-gamma",
]
private let labelKinds = [
    "grey1", "grey2", "grey4", "grey8", "grey16", "palette1", "palette2", "palette4", "palette8", "grey8-trns",
    "palette8-trns", "grey8-gamma",
]

@Suite struct GoldenDecodingTests {
    @Test(arguments: pngKinds, ["", "-interlaced"])
    func pngEqualsPillow(kind: String, suffix: String) throws {
        let decoded = try ImageFile.decode(path: Fixture.path(kind + suffix + ".png"))
        #expect(decoded == (try Fixture.image(kind + suffix + ".rgb.bin")))
    }

    @Test(arguments: labelKinds, ["", "-interlaced"])
    func labelsKeepStoredValues(kind: String, suffix: String) throws {
        let decoded = try LabelFile.decode(path: Fixture.path(kind + suffix + ".png"))
        #expect(decoded == (try Fixture.labels(kind + suffix + ".labels.bin")))
    }

    /// The JPEG standard lets decoders differ by one in the inverse transform; libjpeg-turbo promises equal bits
    /// between its versions for the accurate integer transform, but not between upsampling code paths. Measured: 0.
    @Test(arguments: ["grey", "444", "422", "420", "progressive"])
    func jpegEqualsPillow(kind: String) throws {
        let decoded = try ImageFile.decode(path: Fixture.path("jpeg-\(kind).jpg"))
        let expected = try Fixture.image("jpeg-\(kind).rgb.bin")
        #expect(decoded.width == expected.width && decoded.height == expected.height && decoded.channels == 3)
        let differences = zip(decoded.pixels, expected.pixels).map { abs(Int($0) - Int($1)) }
        #expect(differences.max() ?? 0 <= 1)
    }

    @Test(arguments: 1...8)
    func exifOrientationTurnsThePicture(orientation: Int) throws {
        let path = Fixture.path("exif-\(orientation).jpg")
        let expected = try Fixture.image("exif-\(orientation).rgb.bin")
        let upright = try ImageFile.decode(path: path, exif: .apply)
        #expect(upright == expected)
        #expect(try ImageFile.size(path: path, exif: .apply) == (expected.width, expected.height))
        #expect(try ImageFile.size(path: path) == (16, 8))
        let stored = try ImageFile.decode(path: path)
        #expect(stored.width == 16 && stored.height == 8)
        #expect((stored == upright) == (orientation == 1))
    }

    @Test(arguments: pngKinds)
    func sizeNeedsOnlyTheHeader(kind: String) throws {
        #expect(try ImageFile.size(path: Fixture.path(kind + ".png")) == (13, 11))
    }

    @Test func sizeOfJPEG() throws {
        #expect(try ImageFile.size(path: Fixture.path("jpeg-progressive.jpg")) == (67, 45))
    }
}
