import Foundation

// Cheng et al., "Boundary IoU", CVPR 2021, section 4: with G_d the pixels of mask G that lie within d pixels of its contour,
//   boundary IoU = |G_d and P_d| / |G_d or P_d|
// G_d = G minus G eroded d times by a 3 x 3 square, which equals one erosion by a square of side 2 d + 1; outside the
// image is background. d is 2 % of the image's diagonal, at least one pixel.

/// The agreement of two masks near their boundaries.
public enum BoundaryIoU {
    /// Width of a rim as a fraction of the image's diagonal.
    public static let dilationRatio = 0.02

    /// d for an image, in pixels.
    public static func distance(width: Int, height: Int) -> Int {
        let diagonal = Double(width * width + height * height).squareRoot()
        return max(1, Int((dilationRatio * diagonal).rounded(.toNearestOrEven)))
    }

    /// The boundary IoU of two masks of one image; 1 if both are empty.
    ///
    /// - Parameters:
    ///   - prediction: The mask, row by row. // [H, W]
    ///   - truth: The true mask. // [H, W]
    public static func value(_ prediction: [Bool], _ truth: [Bool], width: Int, height: Int) -> Double {
        precondition(prediction.count == width * height && truth.count == width * height)
        let reach = distance(width: width, height: height)
        // Outside the box around both masks all is background, as it is outside the image.
        guard let box = box(prediction, truth, width: width) else { return 1 }
        func part(_ mask: [Bool]) -> [Bool] {
            box.rows.flatMap { row in mask[row * width + box.columns.lowerBound..<row * width + box.columns.upperBound]
            }
        }
        let (wide, high) = (box.columns.count, box.rows.count)
        let first = rim(part(prediction), width: wide, height: high, distance: reach)
        let second = rim(part(truth), width: wide, height: high, distance: reach)
        var (both, either) = (0, 0)
        for place in first.indices {
            if first[place] && second[place] { both += 1 }
            if first[place] || second[place] { either += 1 }
        }
        return either == 0 ? 1 : Double(both) / Double(either)
    }

    /// The columns and rows that either mask spans; nil if both are empty.
    private static func box(
        _ first: [Bool], _ second: [Bool], width: Int
    ) -> (columns: Range<Int>, rows: Range<Int>)? {
        var (left, right, top, bottom) = (width, 0, Int.max, 0)
        first.withUnsafeBufferPointer { first in
            second.withUnsafeBufferPointer { second in
                for row in 0..<first.count / max(width, 1) {
                    for column in 0..<width where first[row * width + column] || second[row * width + column] {
                        (left, right) = (min(left, column), max(right, column + 1))
                        (top, bottom) = (min(top, row), row + 1)
                    }
                }
            }
        }
        return right > left ? (left..<right, top..<bottom) : nil
    }

    /// The pixels of a mask within `distance` of its contour or of the image's edge. // [H, W]
    package static func rim(_ mask: [Bool], width: Int, height: Int, distance: Int) -> [Bool] {
        let rows = eroded(mask, lines: height, length: width, step: 1, stride: width, distance)
        let inner = eroded(rows, lines: width, length: height, step: width, stride: 1, distance)
        var result = mask
        for place in result.indices where inner[place] { result[place] = false }
        return result
    }

    /// Along each line, the positions with at least `distance` set pixels on both sides.
    private static func eroded(
        _ mask: [Bool], lines: Int, length: Int, step: Int, stride: Int, _ distance: Int
    ) -> [Bool] {
        var result = [Bool](repeating: false, count: mask.count)
        for line in 0..<lines {
            var run = 0
            for place in 0...length {
                if place < length, mask[line * stride + place * step] {
                    run += 1
                    continue
                }
                if run > 2 * distance {
                    for inner in (place - run + distance)..<(place - distance) {
                        result[line * stride + inner * step] = true
                    }
                }
                run = 0
            }
        }
        return result
    }
}
