/// The pixels of an image that belong to an object or a region.
public struct PixelMask: Sendable, Equatable {
    /// Pixels per row.
    public let width: Int
    /// Rows.
    public let height: Int
    /// Whether each pixel belongs to it, row by row. // [H, W]
    public var pixels: [Bool]

    /// Creates a mask from its pixels. // [H, W]
    public init(width: Int, height: Int, pixels: [Bool]) {
        precondition(pixels.count == width * height, "\(pixels.count) pixels for \(width)x\(height)")
        (self.width, self.height, self.pixels) = (width, height, pixels)
    }

    /// The pixels that belong to this mask and not to another of its size.
    public func subtracting(_ other: PixelMask) -> PixelMask { joined(other) { $0 && !$1 } }

    /// The pixels in which two masks of one size differ: the error region of a prediction.
    public func differing(from other: PixelMask) -> PixelMask { joined(other) { $0 != $1 } }

    /// The first and the last column and row with one of its pixels: x0, y0, x1, y1; crossed for an empty mask. // [4]
    public var tightBox: [Int] {
        var (left, top, right, bottom) = (width - 1, height - 1, 0, 0)
        for y in 0..<height {
            for x in 0..<width where pixels[y * width + x] {
                (left, right, top, bottom) = (min(left, x), max(right, x), min(top, y), max(bottom, y))
            }
        }
        return [left, top, right, bottom]
    }

    private func joined(_ other: PixelMask, _ rule: (Bool, Bool) -> Bool) -> PixelMask {
        precondition(
            width == other.width && height == other.height,
            "masks of \(width)x\(height) and \(other.width)x\(other.height)")
        return PixelMask(width: width, height: height, pixels: zip(pixels, other.pixels).map(rule))
    }
}

/// A pixel that a user clicks on, or a trainer in a user's place.
public struct Click: Sendable, Equatable {
    /// Column, from 0.
    public let x: Int
    /// Row, from 0.
    public let y: Int
    /// Whether the pixel belongs to the object (label 1) or not (label 0).
    public let isForeground: Bool

    /// Creates a click.
    public init(x: Int, y: Int, isForeground: Bool) { (self.x, self.y, self.isForeground) = (x, y, isForeground) }
}
