public import Imaging
public import Tensors

// Large-scale jitter as the code of HQ-SAM and CoSAM has it, S the model's side, u uniform in [0, 1), all in single precision:
//   s = 0.1 + 1.9 u,   target = round(S s),   factor = min(target / H, target / W),   new size = round(size * factor)
// Image and mask are mirrored left to right with probability 1/2, resized bilinearly without antialiasing, cropped to at
// most S per side at a whole offset drawn from 0 ... size - S, rows first, and padded at the right and the bottom with 128 and 0.

/// The training augmentation of continual methods: mirroring, scaling, cropping and padding of an image with one mask.
public struct LargeScaleJitter: Sendable, Equatable {
    /// Everything random about one view.
    public struct Draws: Sendable, Equatable {
        /// Whether left and right are swapped.
        public var isMirrored: Bool
        /// u, from which the scale follows.
        public var scale: Float
        /// The first row of the crop.
        public var row: Int
        /// The first column of the crop.
        public var column: Int

        /// Collects draws.
        public init(isMirrored: Bool, scale: Float, row: Int, column: Int) {
            (self.isMirrored, self.scale, self.row, self.column) = (isMirrored, scale, row, column)
        }
    }

    /// The smallest scale and the range of scales.
    static let scales: (least: Float, range: Float) = (0.1, 1.9)
    /// The grey that images are padded with.
    static let padding: UInt8 = 128
    /// Crops that are drawn before a sample without foreground is given up.
    public static let attempts = 10

    /// S, the side of the model's input.
    public let side: Int

    /// Creates the augmentation of a model with this input side.
    public init(side: Int) {
        precondition(side > 0, "a model frame needs a positive side, not \(side)")
        self.side = side
    }

    /// The size an image is resized to before it is cropped.
    public func resizedSize(width: Int, height: Int, scale uniform: Float) -> (width: Int, height: Int) {
        let scale = uniform * Self.scales.range + Self.scales.least
        let target = (scale * Float(side)).rounded(.toNearestOrEven)
        let factor = min(target / Float(height), target / Float(width))
        func resized(_ length: Int) -> Int { max(1, Int((Float(length) * factor).rounded(.toNearestOrEven))) }
        return (resized(width), resized(height))
    }

    /// The view that given draws make of an image and its mask.
    public func apply(_ draws: Draws, to image: Image, _ mask: GreyMask) -> MaskedView {
        precondition(
            (image.width, image.height) == (mask.width, mask.height), "a mask of another size than its image")
        let size = resizedSize(width: image.width, height: image.height, scale: draws.scale)
        precondition(
            draws.row >= 0 && draws.row <= max(size.height - side, 0) && draws.column >= 0
                && draws.column <= max(size.width - side, 0), "a crop outside the image")
        let part = BilinearSampling(
            from: (image.width, image.height), to: size,
            rows: draws.row..<draws.row + min(size.height, side),
            columns: draws.column..<draws.column + min(size.width, side), isMirrored: draws.isMirrored)
        return MaskedView(
            image: part.image(image, side: side, padding: Self.padding),
            mask: part.mask(mask, width: side, height: side))
    }

    /// Draws a view; its mirroring once, scale and crop anew until the mask has foreground.
    ///
    /// - Returns: Nil if ten draws leave nothing of the mask: the sample gives no prompt and must be left out.
    public func draw(
        _ image: Image, _ mask: GreyMask, using generator: inout SeededGenerator
    ) -> MaskedView? {
        let isMirrored = generator.chance(0.5)
        for _ in 0..<Self.attempts {
            let uniform = Float(generator.unit())
            let size = resizedSize(width: image.width, height: image.height, scale: uniform)
            let row = generator.index(below: max(size.height - side, 0) + 1)
            let column = generator.index(below: max(size.width - side, 0) + 1)
            let view = apply(
                Draws(isMirrored: isMirrored, scale: uniform, row: row, column: column), to: image, mask)
            if view.mask.hasForeground { return view }
        }
        return nil
    }
}
