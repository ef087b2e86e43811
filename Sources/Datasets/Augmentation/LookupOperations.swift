public import Imaging

/// Photometric operations that replace every sample by a table entry.
public enum LookupOperations {
    /// Keeps the upper bits of every sample: v AND NOT (2^(8 - bits) - 1).
    public static func posterize(_ image: Image, bits: Int = 4) -> Image {
        precondition((0...8).contains(bits), "posterize keeps 0 to 8 bits, not \(bits)")
        let mask = UInt8(truncatingIfNeeded: 0xff << (8 - bits))
        return apply((0..<256).map { UInt8($0) & mask }, to: image)
    }

    /// Inverts the samples from a threshold up: v < threshold ? v : 255 - v.
    public static func solarize(_ image: Image, threshold: Int = 128) -> Image {
        apply((0..<256).map { UInt8($0 < threshold ? $0 : 255 - $0) }, to: image)
    }

    /// Scales and shifts: clip(contrast v + 255 brightness, 0, 255) truncated, in single precision.
    public static func brightnessContrast(_ image: Image, contrast: Float, brightness: Float) -> Image {
        let table = (0..<256).map { value in
            UInt8(min(max(Float(value) * contrast + brightness * 255, 0), 255))
        }
        return apply(table, to: image)
    }

    /// Spreads the histogram of every channel (OpenCV `equalizeHist`).
    ///
    /// With i0 the first value in use: lut[i0] = 0, lut[i] = round(255 / (N - hist[i0]) * sum of hist over i0 < k <= i);
    /// a channel of one value is unchanged.
    public static func equalize(_ image: Image) -> Image {
        var result = image
        for channel in 0..<image.channels {
            var histogram = [Int](repeating: 0, count: 256)
            for index in stride(from: channel, to: image.pixels.count, by: image.channels) {
                histogram[Int(image.pixels[index])] += 1
            }
            let table = equalizingTable(histogram, pixels: image.width * image.height)
            for index in stride(from: channel, to: image.pixels.count, by: image.channels) {
                result.pixels[index] = table[Int(image.pixels[index])]
            }
        }
        return result
    }

    private static func equalizingTable(_ histogram: [Int], pixels: Int) -> [UInt8] {
        guard let first = histogram.firstIndex(where: { $0 != 0 }), histogram[first] < pixels else {
            return (0..<256).map { UInt8($0) }
        }
        let scale = Float(255) / Float(pixels - histogram[first])
        var table = [UInt8](repeating: 0, count: 256)
        var sum = 0
        for value in first + 1..<256 {
            sum += histogram[value]
            table[value] = saturated(Float(sum) * scale)
        }
        return table
    }

    private static func apply(_ table: [UInt8], to image: Image) -> Image {
        var result = image
        for index in result.pixels.indices { result.pixels[index] = table[Int(result.pixels[index])] }
        return result
    }
}

/// Rounds to the nearest integer, halves to even, and limits to 0...255.
///
/// Adding and subtracting 1.5 * 2^23 leaves the rounding to the adder: exact for every |value| < 2^22, without a call.
@inline(__always)
func saturated(_ value: Float) -> UInt8 {
    let magic: Float = 12_582_912
    return UInt8(min(max(value + magic - magic, 0), 255))
}
