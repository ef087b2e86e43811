public import Kernels
public import Tensors

// SAM's mapping back to the original image (upstream: sam.py, postprocess_masks): low-resolution logits are enlarged to
// the model's frame, the part that holds the image is cropped and resized to the original size, both bilinearly without
// antialiasing; a pixel belongs to the mask where its logit exceeds the threshold, 0.

/// The placement of an image in the model's square input frame.
public struct MaskFrame: Sendable, Equatable {
    /// Side S of the frame, pixels.
    public let side: Int
    /// Columns left of the image: 0 in SAM, which pads at the right and the bottom.
    public let left: Int
    /// Rows above the image: 0 in SAM.
    public let top: Int
    /// Width of the resized image in the frame.
    public let width: Int
    /// Height of the resized image in the frame.
    public let height: Int
    /// Width of the original image.
    public let originalWidth: Int
    /// Height of the original image.
    public let originalHeight: Int

    /// Places a resized image in its frame; it must lie inside.
    public init(
        side: Int, left: Int = 0, top: Int = 0, width: Int, height: Int, originalWidth: Int, originalHeight: Int
    ) {
        precondition(
            min(left, top) >= 0 && min(width, height, originalWidth, originalHeight) > 0
                && left + width <= side && top + height <= side,
            "an image of \(width) x \(height) at (\(left), \(top)) in a frame of \(side)")
        (self.side, self.left, self.top, self.width, self.height) = (side, left, top, width, height)
        (self.originalWidth, self.originalHeight) = (originalWidth, originalHeight)
    }

    /// SAM's placement: the longest side becomes S, sizes are rounded half up, padding is at the right and the bottom.
    public init(side: Int, originalWidth: Int, originalHeight: Int) {
        let scale = Double(side) / Double(max(originalWidth, originalHeight))
        self.init(
            side: side, width: max(Int(Double(originalWidth) * scale + 0.5), 1),
            height: max(Int(Double(originalHeight) * scale + 0.5), 1), originalWidth: originalWidth,
            originalHeight: originalHeight)
    }
}

/// Conversion of mask logits to masks of the original image.
public enum MaskPostprocessing {
    /// The logit above which a pixel belongs to a mask.
    public static let threshold: Float = 0

    /// Logits at the original image's size.
    ///
    /// - Parameter logits: Low-resolution logits of the whole frame. // [n, m, 4 h, 4 w]
    /// - Returns: // [n, m, H, W]
    public static func resize(_ logits: Tensor, to frame: MaskFrame, in workspace: Workspace) -> Tensor {
        let (n, m) = (logits.shape[0], logits.shape[1])
        let planes = logits.reshaped([n * m, logits.shape[2], logits.shape[3]])
        let area = frame.originalHeight * frame.originalWidth
        var resized = Tensor(uninitialized: [n, m, frame.originalHeight, frame.originalWidth])
        let destination = resized.mutablePointer
        // One mask at a time: a frame of 1024 x 1024 is 4 MiB.
        var whole = Tensor(uninitialized: [1, frame.side, frame.side])
        var cut = Tensor(uninitialized: [1, frame.height, frame.width])
        var original = Tensor(uninitialized: [1, frame.originalHeight, frame.originalWidth])
        for plane in 0..<n * m {
            BilinearResizeKernel.forward(planes.rows(plane..<plane + 1), into: &whole, in: workspace)
            crop(whole, frame, into: &cut)
            BilinearResizeKernel.forward(cut, into: &original, in: workspace)
            (destination + plane * area).update(from: original.pointer, count: area)
        }
        return resized
    }

    private static func crop(_ whole: Tensor, _ frame: MaskFrame, into cut: inout Tensor) {
        let (source, destination) = (whole.pointer, cut.mutablePointer)
        for row in 0..<frame.height {
            (destination + row * frame.width).update(
                from: source + (frame.top + row) * frame.side + frame.left, count: frame.width)
        }
    }

    /// One byte per pixel: 1 where the logit exceeds the threshold.
    public static func binary(_ logits: Tensor, threshold: Float = threshold) -> [UInt8] {
        let source = logits.pointer
        return withExtendedLifetime(logits) { (0..<logits.count).map { source[$0] > threshold ? 1 : 0 } }
    }

    /// The stability of each mask against a shift of the threshold: the intersection over union of the masks at
    /// `threshold + offset` and `threshold - offset`; 0 where the larger one is empty.
    ///
    /// - Parameter logits: // [n, m, ..., ...]
    /// - Returns: // [n, m]
    public static func stabilityScores(
        _ logits: Tensor, threshold: Float = threshold, offset: Float = 1
    ) -> Tensor {
        let (n, m) = (logits.shape[0], logits.shape[1])
        let area = logits.count / max(n * m, 1)
        let source = logits.pointer
        let scores = (0..<n * m).map { mask -> Float in
            var (inner, outer) = (0, 0)
            for pixel in mask * area..<(mask + 1) * area {
                if source[pixel] > threshold + offset { inner += 1 }
                if source[pixel] > threshold - offset { outer += 1 }
            }
            return outer == 0 ? 0 : Float(inner) / Float(outer)
        }
        return Tensor(scores, [n, m])
    }
}
