public import Tensors

/// The placement of an image in the model's square frame: original pixel x maps to x * resizedWidth / width + left.
public struct ModelFrame: Equatable, Sendable {
    /// Side S of the model's input.
    public let side: Int
    /// Width of the original image.
    public let originalWidth: Int
    /// Height of the original image.
    public let originalHeight: Int
    /// Width of the image inside the frame.
    public let resizedWidth: Int
    /// Height of the image inside the frame.
    public let resizedHeight: Int
    /// Columns of padding before the image.
    public let left: Int
    /// Rows of padding above the image.
    public let top: Int

    /// Fits an image into the frame by its longest side: new = floor(old * S / max(W, H) + 0.5), at least 1.
    ///
    /// - Parameter isCentred: Padding on all sides, left = (S - w) div 2 (WeSAM); otherwise right and bottom only (SAM).
    public init(side: Int, originalWidth: Int, originalHeight: Int, isCentred: Bool) {
        precondition(side > 0 && originalWidth > 0 && originalHeight > 0, "an empty image or frame")
        self.side = side
        self.originalWidth = originalWidth
        self.originalHeight = originalHeight
        let scale = Double(side) / Double(max(originalWidth, originalHeight))
        resizedWidth = max(1, Int(Double(originalWidth) * scale + 0.5))
        resizedHeight = max(1, Int(Double(originalHeight) * scale + 0.5))
        left = isCentred ? (side - resizedWidth) / 2 : 0
        top = isCentred ? (side - resizedHeight) / 2 : 0
    }

    /// The placement of an image that fills the square, without padding; its aspect ratio is not kept.
    public init(squashing size: (width: Int, height: Int), side: Int) {
        precondition(side > 0 && size.width > 0 && size.height > 0, "an empty image or frame")
        (self.side, resizedWidth, resizedHeight) = (side, side, side)
        (originalWidth, originalHeight, left, top) = (size.width, size.height, 0, 0)
    }

    /// The columns of the frame the image covers.
    public var columns: Range<Int> { left..<left + resizedWidth }
    /// The rows of the frame the image covers.
    public var rows: Range<Int> { top..<top + resizedHeight }
    /// Frame pixels per original pixel along x.
    public var scaleX: Double { Double(resizedWidth) / Double(originalWidth) }
    /// Frame pixels per original pixel along y.
    public var scaleY: Double { Double(resizedHeight) / Double(originalHeight) }

    /// A box of the original image in the model frame.
    public func toModel(_ box: Box) -> Box {
        Box(
            x0: box.x0 * scaleX + Double(left), y0: box.y0 * scaleY + Double(top),
            x1: box.x1 * scaleX + Double(left), y1: box.y1 * scaleY + Double(top))
    }

    /// A point of the original image in the model frame.
    public func toModel(_ point: LabelledPoint) -> LabelledPoint {
        LabelledPoint(
            x: point.x * scaleX + Double(left), y: point.y * scaleY + Double(top), isForeground: point.isForeground)
    }

    /// The logit of a mask prompt inside the mask, its negative outside: about the size of SAM's own logits.
    public static let maskPromptLogit: Float = 10

    /// A mask prompt: each cell of a grid over the whole frame reads the point of the original image under its centre.
    ///
    /// - Parameters:
    ///   - side: m, cells on a side of the grid.
    ///   - isInside: Whether a point of the original image, on the axes of `Box`, is in the mask.
    ///   - middle: The position of a mask too thin for the centre of any cell, so that it is not lost.
    /// - Returns: +-10, `[m, m]`; padding is outside.
    public func maskPrompt(
        side grid: Int, middle: (x: Double, y: Double)? = nil, isInside: (_ x: Double, _ y: Double) -> Bool
    ) -> [Float] {
        let cell = Double(side) / Double(grid)
        var values = [Float](repeating: -Self.maskPromptLogit, count: grid * grid)
        for row in 0..<grid {
            let y = ((Double(row) + 0.5) * cell - Double(top)) / scaleY
            guard y >= 0, y < Double(originalHeight) else { continue }
            for column in 0..<grid {
                let x = ((Double(column) + 0.5) * cell - Double(left)) / scaleX
                guard x >= 0, x < Double(originalWidth), isInside(x, y) else { continue }
                values[row * grid + column] = Self.maskPromptLogit
            }
        }
        if let middle, !values.contains(Self.maskPromptLogit) {
            let row = Int((middle.y * scaleY + Double(top)) / cell)
            let column = Int((middle.x * scaleX + Double(left)) / cell)
            if (0..<grid).contains(row), (0..<grid).contains(column) {
                values[row * grid + column] = Self.maskPromptLogit
            }
        }
        return values
    }

    /// Logits of the whole frame mapped back to the original image: padding cropped, then bilinear without antialias.
    ///
    /// Sample position: (target + 0.5) * resized / original - 0.5, clamped to the image (align_corners = false).
    /// - Parameter logits: `[S, S]`.
    /// - Returns: `[H, W]`.
    public func restore(_ logits: Tensor) -> Tensor {
        precondition(logits.count == side * side, "logits of shape \(logits.shape) for a frame of side \(side)")
        let columnTaps = Self.taps(from: resizedWidth, to: originalWidth)
        let rowTaps = Self.taps(from: resizedHeight, to: originalHeight)
        var result = Tensor(uninitialized: [originalHeight, originalWidth])
        let source = logits.pointer
        let target = result.mutablePointer
        for y in 0..<originalHeight {
            let row = rowTaps[y]
            let upper = (top + row.first) * side + left
            let lower = (top + row.second) * side + left
            for x in 0..<originalWidth {
                let (first, second, weight) = columnTaps[x]
                let above = source[upper + first] * (1 - weight) + source[upper + second] * weight
                let below = source[lower + first] * (1 - weight) + source[lower + second] * weight
                target[y * originalWidth + x] = above * (1 - row.weight) + below * row.weight
            }
        }
        return result
    }

    /// The two source positions of every target position, with the weight of the second.
    private static func taps(from source: Int, to target: Int) -> [(first: Int, second: Int, weight: Float)] {
        let scale = Float(source) / Float(target)
        return (0..<target).map { position in
            let exact = max((Float(position) + 0.5) * scale - 0.5, 0)
            let first = min(Int(exact), source - 1)
            return (first, min(first + 1, source - 1), exact - Float(first))
        }
    }
}
