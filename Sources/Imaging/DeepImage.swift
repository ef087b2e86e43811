import CImageCodecs

/// The samples of a PNG of 16 bits, grey or RGB, as they are stored.
struct DeepImage {
    private let width: Int
    private let height: Int
    private let channels: Int
    /// Two bytes per sample, the high one first.
    private let samples: [UInt8]

    /// Decodes the bytes of a file. Throws `ImagingError`.
    init(_ bytes: [UInt8], file: String, limits: ImageLimits) throws {
        let (decoded, samples) = try ImageFile.decodeSamples(bytes, file: file, convertTo: "8-bit RGB") {
            input, image, message in
            var limits = kedge_image_limits(limits)
            return kedge_png_decode(input.baseAddress, input.count, &limits, KEDGE_PNG_DEEP, &image, message)
        }
        (width, height, channels) = (Int(decoded.width), Int(decoded.height), Int(decoded.channels))
        self.samples = samples
    }

    /// How often each value occurs; all channels count alike, so that one range keeps the colours.
    var histogram: SampleHistogram {
        var histogram = SampleHistogram(bits: 16)
        samples.withUnsafeBufferPointer { histogram.add($0) }
        return histogram
    }

    /// The image in 8 bits.
    func image(_ intensity: Intensity) -> Image {
        let histogram = histogram
        let range = intensity.range(for: histogram)
        let table = range?.table(count: 65536) ?? SampleRange.highBytes(count: 65536)
        let copies = 3 / channels  // grey becomes three equal channels
        let pixels = [UInt8](unsafeUninitializedCapacity: width * height * 3) { pixels, filled in
            samples.withUnsafeBufferPointer { samples in
                for sample in 0..<width * height * channels {
                    let value = table[Int(samples[2 * sample]) << 8 | Int(samples[2 * sample + 1])]
                    for copy in 0..<copies { pixels[sample * copies + copy] = value }
                }
            }
            filled = width * height * 3
        }
        var image = Image(width: width, height: height, channels: 3, pixels: pixels)
        image.stored = StoredSamples(histogram, intensity, spread: range)
        return image
    }
}

extension ImageFile {
    /// How often each stored value of an image occurs, of a palette each of its colours' samples. Throws `ImagingError`.
    public static func histogram(
        path: String, limits: ImageLimits = .standard, followingLinks: Bool = true
    ) throws -> SampleHistogram {
        try histogram(OpenedFile(path, followingLinks: followingLinks), limits: limits)
    }

    /// The same of an open file. Throws `ImagingError`.
    package static func histogram(_ file: OpenedFile, limits: ImageLimits = .standard) throws -> SampleHistogram {
        let bytes = try file.bytes(limits: limits)
        let header = try checkedHeader(bytes, file: file.path, limits: limits)
        if header.format == .png, header.bits == 16 {
            return try DeepImage(bytes, file: file.path, limits: limits).histogram
        }
        var histogram = SampleHistogram(bits: 8)
        try decode(bytes: bytes, name: file.path, limits: limits).pixels.withUnsafeBufferPointer { histogram.add($0) }
        return histogram
    }

    /// Bits per stored sample by the first bytes of a file; nil if it is no image.
    package static func bits(of start: [UInt8]) -> Int? {
        (try? ImageHeader.parse(start, file: ""))?.map(\.bits) ?? nil
    }
}
