import Imaging
import Testing

/// Images of more than 8 bits.
@Suite struct IntensityTests {
    private static let width = 40
    private static let height = 30

    /// A picture with values from 75 to 189, each often.
    private static let picture: [Int] = (0..<width * height).map { 75 + $0 * 37 % 115 }

    /// A grey or RGB PNG of 16 bits.
    private static func png(_ values: [Int], channels: Int = 1) throws -> [UInt8] {
        try ImageFile.encodePNG(
            samples: values.flatMap { [UInt8($0 >> 8), UInt8($0 & 255)] }, width: width, height: height,
            channels: channels, bytesPerSample: 2)
    }

    private static func image(_ values: [Int], channels: Int = 1, _ rule: Intensity.Rule) throws -> Image {
        try ImageFile.decode(bytes: png(values, channels: channels), intensity: Intensity(rule))
    }

    /// The same picture as 8 bits, 12 bits in 16, camera counts and 8 bits in 16 is the same to the model.
    @Test(arguments: [Intensity.Rule.auto, .minmax, .percentile])
    func formsOfOnePictureAreEqual(rule: Intensity.Rule) throws {
        let forms = [
            Self.picture.map { $0 * 16 }, Self.picture.map { 100 + 3 * $0 }, Self.picture,
            Self.picture.map { $0 * 257 },
        ]
        let images = try forms.map { try Self.image($0, rule) }
        let grey = Image(
            width: Self.width, height: Self.height, channels: 1, pixels: Self.picture.map { UInt8($0) })
        let small = try ImageFile.decode(
            bytes: ImageFile.encodePNG(grey), intensity: Intensity(rule == .auto ? .percentile : rule))
        for image in images { #expect(image == small) }
        #expect(small.pixels.min() == 0 && small.pixels.max() == 255)
        #expect(Set(small.pixels).count > 100)
    }

    @Test func autoLeavesEightBitsAsTheyAre() throws {
        for kind in ["grey8", "rgb8", "rgba8", "palette4", "grey1", "grey4"] {
            let path = Fixture.path(kind + ".png")
            let read = try ImageFile.decode(path: path, intensity: Intensity(.auto))
            #expect(try read == ImageFile.decode(path: path) && read.stored == nil)
        }
        let photograph = Fixture.path("jpeg-420.jpg")
        #expect(
            try ImageFile.decode(path: photograph, intensity: Intensity(.auto)) == ImageFile.decode(path: photograph))
    }

    @Test func fullTakesTheHighByte() throws {
        let values = (0..<Self.width * Self.height).map { $0 * 54 }
        let image = try Self.image(values, .full)
        #expect(image.pixels == values.flatMap { [UInt8($0 >> 8), UInt8($0 >> 8), UInt8($0 >> 8)] })
        let stored = try #require(image.stored)
        #expect(stored.description == "16 bit, values 0 to 64746 of 65535, cut to the high 8 bits")
        // The picture of 75 to 189 is black, and says so.
        #expect(try Self.image(Self.picture, .full).stored?.levels == 1)
    }

    @Test func theRangeIsSaid() throws {
        #expect(
            try Self.image(Self.picture, .auto).stored?.description
                == "16 bit, values 75 to 189 of 65535, scaled by percentiles (76 to 189)")
        #expect(
            try Self.image(Self.picture, .minmax).stored?.description
                == "16 bit, values 75 to 189 of 65535, scaled by minimum and maximum (75 to 189)")
    }

    /// Whole numbers alone decide: (v - low) * 255 / (high - low), halves up.
    @Test func valuesAreRoundedToTheNearest() throws {
        let values = (0..<Self.width * Self.height).map { 1000 + $0 * 7 % 601 }
        let image = try Self.image(values, .minmax)
        let expected = values.map { value -> UInt8 in
            let exact = Double((value - 1000) * 255) / 600
            return UInt8((exact + 0.5).rounded(.down))
        }
        #expect(stride(from: 0, to: image.pixels.count, by: 3).map { image.pixels[$0] } == expected)
    }

    /// One pixel in a thousand that is too bright, and one in a hundred that is too dark, do not decide.
    @Test func hotAndDeadPixelsDoNotDecide() throws {
        var values = Self.picture.map { $0 * 16 }
        let clean = try Self.image(values, .auto)
        values[700] = 65535
        for place in 0..<8 { values[place * 83] = 0 }
        let hot = try Self.image(values, .auto)
        let differences = zip(clean.pixels, hot.pixels).map { abs(Int($0) - Int($1)) }.sorted()
        // The percentiles move by a value or two, the hot pixels themselves by more.
        #expect(differences[differences.count - 28] <= 3)
        #expect(try Self.image(values, .minmax).pixels.filter { $0 > 20 && $0 < 235 }.isEmpty)
    }

    @Test func aConstantImageKeepsItsHighByte() throws {
        for rule in Intensity.Rule.allCases {
            for value in [0, 189, 0x8123, 65535] {
                let image = try Self.image([Int](repeating: value, count: Self.width * Self.height), rule)
                #expect(image.pixels == [UInt8](repeating: UInt8(value >> 8), count: Self.width * Self.height * 3))
            }
        }
    }

    /// A bright pixel before an even background: both percentiles are the background.
    @Test func aFewObjectsBeforeAnEvenBackgroundAreSeen() throws {
        var values = [Int](repeating: 300, count: Self.width * Self.height)
        values[100] = 4000
        let image = try Self.image(values, .auto)
        #expect(image.pixels[300] == 255 && image.pixels[0] == 0)
    }

    /// Channels share one range, so that a tint stays a tint.
    @Test func coloursStay() throws {
        let values = Self.picture.flatMap { [4 * $0, 2 * $0, $0] }
        let image = try Self.image(values, channels: 3, .minmax)
        let (low, high) = (75, 4 * 189)
        let expected = values.map { UInt8(((($0 - low) * 255 * 2 + high - low) / (2 * (high - low)))) }
        #expect(image.pixels == expected)
    }

    /// Grey with alpha and RGB with alpha of 16 bits: alpha neither shows nor counts.
    @Test(arguments: ["grey-alpha16", "rgba16", "grey16", "rgb16"])
    func alphaIsDropped(kind: String) throws {
        for suffix in ["", "-interlaced"] {
            let path = Fixture.path(kind + suffix + ".png")
            let full = try ImageFile.decode(path: path, intensity: .full)
            #expect(full == (try Fixture.image(kind + suffix + ".rgb.bin")))
            let stored = try #require(full.stored)
            #expect(stored.bits == 16)
            #expect(UInt8(stored.values.low >> 8) == full.pixels.min())
            #expect(UInt8(stored.values.high >> 8) == full.pixels.max())
            let histogram = try ImageFile.histogram(path: path)
            #expect(histogram.range == stored.values)
            #expect(histogram.counts.reduce(0, +) % (full.width * full.height) == 0)
        }
    }

    @Test func theRangesOfADataSetHoldForEveryImage() throws {
        let ranges = Intensity.Ranges(sixteen: SampleRange(low: 0, high: 510))
        let image = try ImageFile.decode(
            bytes: Self.png(Self.picture), intensity: Intensity(.percentile, ranges: ranges))
        #expect(image.pixels == Self.picture.flatMap { [UInt8](repeating: UInt8(($0 + 1) / 2), count: 3) })
        #expect(image.stored?.description.hasSuffix("scaled by the data set's percentiles (0 to 510)") == true)
        // Images of 8 bits have no range in it and keep their own.
        let eight = Image(width: 2, height: 1, channels: 1, pixels: [10, 20])
        let read = try ImageFile.decode(
            bytes: ImageFile.encodePNG(eight), intensity: Intensity(.minmax, ranges: ranges))
        #expect(read.pixels == [0, 0, 0, 255, 255, 255])
    }

    @Test func percentilesAreThoseOfTheSortedValues() {
        for count in [1, 2, 99, 100, 101, 200, 1000, 1999, 2000] {
            var counts = [Int](repeating: 0, count: 256)
            var values: [Int] = []
            for place in 0..<count {
                let value = place * place * 31 % 251
                counts[value] += 1
                values.append(value)
            }
            values.sort()
            let low = values[count / 100]
            let high = values[count - 1 - count / 1000]
            let expected =
                low < high
                ? SampleRange(low: low, high: high) : SampleRange(low: values[0], high: values[count - 1])
            #expect(SampleHistogram(bits: 8, counts: counts).robustRange == expected, "\(count) values")
        }
        #expect(SampleHistogram(bits: 16).robustRange == nil && SampleHistogram(bits: 16).range == nil)
    }
}
