/// A reflection of an image.
public enum Flip: String, CaseIterable, Sendable {
    /// Unchanged.
    case none
    /// Left and right swapped.
    case horizontal
    /// Top and bottom swapped.
    case vertical
    /// Both swapped: a half turn.
    case both

    /// Whether left and right are swapped.
    public var isHorizontal: Bool { self == .horizontal || self == .both }
    /// Whether top and bottom are swapped.
    public var isVertical: Bool { self == .vertical || self == .both }
}

extension Image {
    /// The reflected image.
    public func flipped(_ flip: Flip) -> Image {
        Image(
            width: width, height: height, channels: channels,
            pixels: flippedSamples(pixels, width: width, height: height, channels: channels, flip))
    }

    /// The part of the given size whose top left pixel is (x, y); it must lie inside the image.
    public func cropped(x: Int, y: Int, width: Int, height: Int) -> Image {
        Image(
            width: width, height: height, channels: channels,
            pixels: croppedSamples(
                pixels, size: (self.width, self.height), channels: channels, x: x, y: y, width: width, height: height))
    }

    /// The image in the top left corner of a larger one, the rest filled with `value`.
    public func padded(toWidth newWidth: Int, height newHeight: Int, with value: UInt8 = 0) -> Image {
        Image(
            width: newWidth, height: newHeight, channels: channels,
            pixels: paddedSamples(
                pixels, size: (width, height), channels: channels, width: newWidth, height: newHeight, value: value))
    }

    /// The image with rows and columns swapped.
    func transposed() -> Image {
        var result = Image(width: height, height: width, channels: channels)
        for y in 0..<height {
            for x in 0..<width {
                for channel in 0..<channels {
                    result.pixels[(x * height + y) * channels + channel] = pixels[(y * width + x) * channels + channel]
                }
            }
        }
        return result
    }
}

extension LabelImage {
    /// The reflected label image.
    public func flipped(_ flip: Flip) -> LabelImage {
        LabelImage(
            width: width, height: height,
            labels: flippedSamples(labels, width: width, height: height, channels: 1, flip))
    }

    /// The part of the given size whose top left pixel is (x, y); it must lie inside the image.
    public func cropped(x: Int, y: Int, width: Int, height: Int) -> LabelImage {
        LabelImage(
            width: width, height: height,
            labels: croppedSamples(
                labels, size: (self.width, self.height), channels: 1, x: x, y: y, width: width, height: height))
    }

    /// The label image in the top left corner of a larger one, the rest filled with `label`, by default background.
    public func padded(toWidth newWidth: Int, height newHeight: Int, with label: UInt16 = 0) -> LabelImage {
        LabelImage(
            width: newWidth, height: newHeight,
            labels: paddedSamples(
                labels, size: (width, height), channels: 1, width: newWidth, height: newHeight, value: label))
    }
}

private func flippedSamples<Sample>(
    _ samples: [Sample], width: Int, height: Int, channels: Int, _ flip: Flip
) -> [Sample] {
    if flip == .none { return samples }
    let rowCount = width * channels
    return [Sample](unsafeUninitializedCapacity: samples.count) { output, count in
        samples.withUnsafeBufferPointer { input in
            for y in 0..<height {
                let source = (flip.isVertical ? height - 1 - y : y) * rowCount
                let target = y * rowCount
                if !flip.isHorizontal {
                    for i in 0..<rowCount { output.initializeElement(at: target + i, to: input[source + i]) }
                    continue
                }
                for x in 0..<width {
                    for channel in 0..<channels {
                        output.initializeElement(
                            at: target + x * channels + channel,
                            to: input[source + (width - 1 - x) * channels + channel])
                    }
                }
            }
        }
        count = samples.count
    }
}

private func croppedSamples<Sample>(
    _ samples: [Sample], size: (width: Int, height: Int), channels: Int, x: Int, y: Int, width: Int, height: Int
) -> [Sample] {
    precondition(
        x >= 0 && y >= 0 && width >= 0 && height >= 0 && x + width <= size.width && y + height <= size.height,
        "crop \(width)x\(height) at (\(x), \(y)) leaves the \(size.width)x\(size.height) image")
    var result: [Sample] = []
    result.reserveCapacity(width * height * channels)
    for row in y..<y + height {
        let start = (row * size.width + x) * channels
        result.append(contentsOf: samples[start..<start + width * channels])
    }
    return result
}

private func paddedSamples<Sample>(
    _ samples: [Sample], size: (width: Int, height: Int), channels: Int, width: Int, height: Int, value: Sample
) -> [Sample] {
    precondition(
        width >= size.width && height >= size.height,
        "a \(size.width)x\(size.height) image does not fit into \(width)x\(height)")
    var result: [Sample] = []
    result.reserveCapacity(width * height * channels)
    for row in 0..<size.height {
        result.append(contentsOf: samples[row * size.width * channels..<(row + 1) * size.width * channels])
        result.append(contentsOf: repeatElement(value, count: (width - size.width) * channels))
    }
    result.append(contentsOf: repeatElement(value, count: (height - size.height) * width * channels))
    return result
}
