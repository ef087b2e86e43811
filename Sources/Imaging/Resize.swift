/// Resampling that equals Pillow's to the last bit, because SAM was trained on images resized by it.
public enum Resize {
    /// The size with `target` as its longer side: `floor(side * target / max(width, height) + 0.5)` for each side
    /// (`ResizeLongestSide` of segment-anything).
    public static func longestSideSize(width: Int, height: Int, target: Int) -> (width: Int, height: Int) {
        precondition(width > 0 && height > 0 && target > 0, "sizes are positive")
        let scale = Double(target) / Double(max(width, height))
        return (Int(Double(width) * scale + 0.5), Int(Double(height) * scale + 0.5))
    }

    /// Bilinear resampling with antialiasing, equal to Pillow's `Image.resize((width, height), BILINEAR)`.
    ///
    /// Two passes, along rows and along columns; each rounds to 8 bits and is skipped if its size does not change.
    /// Rows come first unless the height shrinks by more than twice the pixels the width does (since Pillow 12; older
    /// versions always begin with rows and so occasionally differ by one level in such images). Weights are 22-bit
    /// fixed-point numbers (Pillow, `src/libImaging/Resample.c`).
    public static func bilinear(_ image: Image, width: Int, height: Int) -> Image {
        resampled(image, width: width, height: height, .triangle)
    }

    /// The mean over the box that each new pixel covers, equal to Pillow's `Image.resize((width, height), BOX)`.
    public static func box(_ image: Image, width: Int, height: Int) -> Image {
        resampled(image, width: width, height: height, .box)
    }

    private static func resampled(
        _ image: Image, width: Int, height: Int, _ filter: ResamplingWeights.Filter
    ) -> Image {
        precondition(width > 0 && height > 0, "cannot resize to \(width)x\(height)")
        precondition(image.width > 0 && image.height > 0, "cannot resize an image without pixels")
        let shrinkage = (width: image.width - width, height: image.height - height)
        if shrinkage.height > 0 && shrinkage.height > 2 * shrinkage.width {
            return image.resampledAlongColumns(to: height, filter).resampledAlongRows(to: width, filter)
        }
        return image.resampledAlongRows(to: width, filter).resampledAlongColumns(to: height, filter)
    }

    /// Nearest-neighbour resampling, equal to Pillow's `Image.resize((width, height), NEAREST)`.
    public static func nearest(_ image: LabelImage, width: Int, height: Int) -> LabelImage {
        precondition(width > 0 && height > 0, "cannot resize to \(width)x\(height)")
        precondition(image.width > 0 && image.height > 0, "cannot resize an image without pixels")
        if width == image.width && height == image.height { return image }
        let columns = nearestPositions(from: image.width, to: width)
        let rows = nearestPositions(from: image.height, to: height)
        let labels = [UInt16](unsafeUninitializedCapacity: width * height) { output, count in
            image.labels.withUnsafeBufferPointer { input in
                for y in 0..<height {
                    let source = rows[y] * image.width
                    for x in 0..<width {
                        output.initializeElement(at: y * width + x, to: input[source + columns[x]])
                    }
                }
            }
            count = width * height
        }
        return LabelImage(width: width, height: height, labels: labels)
    }

    /// Nearest-neighbour resampling of an image, equal to Pillow's `Image.resize((width, height), NEAREST)`.
    public static func nearest(_ image: Image, width: Int, height: Int) -> Image {
        precondition(width > 0 && height > 0, "cannot resize to \(width)x\(height)")
        precondition(image.width > 0 && image.height > 0, "cannot resize an image without pixels")
        let columns = nearestPositions(from: image.width, to: width)
        var pixels: [UInt8] = []
        pixels.reserveCapacity(width * height * image.channels)
        for row in nearestPositions(from: image.height, to: height) {
            for column in columns {
                let first = (row * image.width + column) * image.channels
                pixels.append(contentsOf: image.pixels[first..<first + image.channels])
            }
        }
        return Image(width: width, height: height, channels: image.channels, pixels: pixels)
    }

    /// The input position for each output position; the sum is accumulated as in Pillow, with the same rounding.
    private static func nearestPositions(from oldSize: Int, to newSize: Int) -> [Int] {
        let step = Double(oldSize) / Double(newSize)
        var position = step * 0.5
        return (0..<newSize).map { _ in
            defer { position += step }
            return min(Int(position), oldSize - 1)
        }
    }
}
