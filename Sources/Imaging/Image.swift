/// An 8-bit image: rows of interleaved samples, one (grey) or three (RGB) per pixel.
public struct Image: Equatable, Sendable {
    /// Pixels per row.
    public let width: Int
    /// Rows.
    public let height: Int
    /// Samples per pixel: 1 or 3.
    public let channels: Int
    /// The samples, row by row, `[height, width, channels]`.
    public var pixels: [UInt8]
    /// What the file holds, where decoding changed it: of more than 8 bits, or scaled. Images made from this one have none.
    public var stored: StoredSamples?

    /// Creates an image from its samples.
    public init(width: Int, height: Int, channels: Int, pixels: [UInt8]) {
        precondition(channels == 1 || channels == 3, "an image has 1 or 3 channels, not \(channels)")
        precondition(
            pixels.count == width * height * channels, "\(pixels.count) samples for \(width)x\(height)x\(channels)")
        self.width = width
        self.height = height
        self.channels = channels
        self.pixels = pixels
    }

    /// Creates an image of one value.
    public init(width: Int, height: Int, channels: Int, filledWith value: UInt8 = 0) {
        self.init(
            width: width, height: height, channels: channels,
            pixels: [UInt8](repeating: value, count: width * height * channels))
    }
}

extension Image {
    /// Whether size and pixels are equal; what they were made from does not count.
    public static func == (first: Image, second: Image) -> Bool {
        (first.width, first.height, first.channels) == (second.width, second.height, second.channels)
            && first.pixels == second.pixels
    }
}

/// An image of instance numbers: 0 is background, k is instance k.
public struct LabelImage: Equatable, Sendable {
    /// Pixels per row.
    public let width: Int
    /// Rows.
    public let height: Int
    /// The instance numbers, row by row, `[height, width]`.
    public var labels: [UInt16]

    /// Creates a label image from its numbers.
    public init(width: Int, height: Int, labels: [UInt16]) {
        precondition(labels.count == width * height, "\(labels.count) labels for \(width)x\(height)")
        self.width = width
        self.height = height
        self.labels = labels
    }
}
