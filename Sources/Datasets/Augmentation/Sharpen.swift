public import Imaging

/// Sharpening by a 3 x 3 correlation.
public enum Sharpen {
    /// Blends the image with its sharpened self.
    ///
    /// Kernel: centre (1 - alpha) + alpha (8 + lightness), the eight neighbours -alpha. The border is mirrored without
    /// repeating the edge pixel; sums are taken in single precision, rounded half to even and limited to 0...255.
    public static func apply(to image: Image, alpha: Float, lightness: Float) -> Image {
        let centre = (1 - alpha) + alpha * (8 + lightness)
        let (width, height, channels) = (image.width, image.height, image.channels)
        let stride = width * channels
        var result = image
        image.pixels.withUnsafeBufferPointer { source in
            for y in 0..<height {
                let rows = [mirrored(y - 1, height), y, mirrored(y + 1, height)].map { $0 * stride }
                for x in 0..<width {
                    let left = mirrored(x - 1, width) * channels
                    let right = mirrored(x + 1, width) * channels
                    for channel in 0..<channels {
                        let middle = x * channels + channel
                        var sum = 0
                        for row in rows {
                            sum += Int(source[row + left + channel]) + Int(source[row + middle])
                            sum += Int(source[row + right + channel])
                        }
                        let value = Int(source[rows[1] + middle])
                        // Neighbours are integers, so their sum is exact and one product serves all eight.
                        let filtered = centre * Float(value) - alpha * Float(sum - value)
                        result.pixels[y * stride + middle] = saturated(filtered)
                    }
                }
            }
        }
        return result
    }

    /// Reflects an index at most one step outside 0 ..< count about the edge pixel.
    private static func mirrored(_ index: Int, _ count: Int) -> Int {
        if count == 1 { return 0 }
        return index < 0 ? -index : index >= count ? 2 * count - 2 - index : index
    }
}
