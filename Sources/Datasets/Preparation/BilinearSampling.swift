import Imaging
import Kernels

// Continual methods resize images and masks as torch.nn.functional.interpolate does (bilinear, align_corners false, no
// antialiasing), in float, and then cut images to 8 bits. Pillow's filter, which `Preprocessing` uses, averages where an
// image shrinks and rounds.

/// A part of an image or mask at another size.
struct BilinearSampling {
    private let map: BilinearMap
    private let rows: Range<Int>
    private let columns: Range<Int>
    private let isMirrored: Bool

    /// Resizes from one size to another, of which the rows and columns in the ranges are computed; by default all.
    ///
    /// - Parameter isMirrored: Whether left and right are swapped before.
    init(
        from old: (width: Int, height: Int), to new: (width: Int, height: Int), rows: Range<Int>? = nil,
        columns: Range<Int>? = nil, isMirrored: Bool = false
    ) {
        map = BilinearMap(sourceHeight: old.height, sourceWidth: old.width, height: new.height, width: new.width)
        (self.rows, self.columns) = (rows ?? 0..<new.height, columns ?? 0..<new.width)
        precondition(
            self.rows.upperBound <= new.height && self.columns.upperBound <= new.width, "a part outside the image")
        self.isMirrored = isMirrored
    }

    /// Calls a function with each row of the part of one plane of the source. // plane [H, W]
    private func forEachRow(
        of plane: [Float], _ body: (_ row: Int, _ values: UnsafePointer<Float>) -> Void
    ) {
        precondition(plane.count == map.sourceWidth * map.sourceHeight)
        withUnsafeTemporaryAllocation(of: Float.self, capacity: map.width) { line in
            line.initialize(repeating: 0)
            guard let values = line.baseAddress else { return }
            plane.withUnsafeBufferPointer { plane in
                guard let source = plane.baseAddress else { return }
                for row in rows {
                    map.interpolateRow(source, row: row, into: values)
                    body(row - rows.lowerBound, values + columns.lowerBound)
                }
            }
        }
    }

    /// The source's values of one channel. // [H, W]
    private func plane(_ count: Int, _ value: (Int) -> Float) -> [Float] {
        let width = map.sourceWidth
        guard isMirrored else { return (0..<count).map(value) }
        return (0..<count).map { value($0 / width * width + width - 1 - $0 % width) }
    }

    /// The part of an image, cut to 8 bits, in the top left corner of a square of another value.
    func image(_ image: Image, side: Int, padding: UInt8) -> Image {
        let channels = image.channels
        var result = Image(width: side, height: side, channels: channels, filledWith: padding)
        for channel in 0..<channels {
            let plane = plane(image.width * image.height) { Float(image.pixels[$0 * channels + channel]) }
            result.pixels.withUnsafeMutableBufferPointer { target in
                forEachRow(of: plane) { row, values in
                    for column in 0..<columns.count {
                        target[(row * side + column) * channels + channel] = UInt8(min(values[column], 255))
                    }
                }
            }
        }
        return result
    }

    /// The part of a mask in the top left corner of zeros.
    func mask(_ mask: GreyMask, width: Int, height: Int) -> GreyMask {
        var result = [Float](repeating: 0, count: width * height)
        let plane = plane(mask.values.count) { mask.values[$0] }
        result.withUnsafeMutableBufferPointer { target in
            forEachRow(of: plane) { row, values in
                for column in 0..<columns.count { target[row * width + column] = values[column] }
            }
        }
        return GreyMask(width: width, height: height, values: result)
    }
}
