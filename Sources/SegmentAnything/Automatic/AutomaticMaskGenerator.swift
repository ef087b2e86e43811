import Kernels
public import Layers
public import Tensors

// Crop by crop, the whole image first: image embedding; a grid of points, each a prompt of its own with three candidates;
// predicted IoU > threshold; logits at the crop's size; stability score >= threshold; mask = logit > 0; masks that a crop's
// edge cuts off are dropped; non-maximum suppression by predicted IoU. Then, over all crops, non-maximum suppression by
// 1 / area of the crop. Last, if configured, holes and islands are removed, and masks changed by this yield to
// unchanged ones (upstream: automatic_mask_generator.py, utils/amg.py).
//
// Memory: logits at the crop's size are computed in pieces of `pieceBytes`, and a mask is stored as runs.

/// A mask found without a prompt.
public struct AutomaticMask: Sendable {
    /// The mask at the image's size.
    public let mask: MaskRuns
    /// First and last column and row of the mask; 0, 0, 0, 0 if it is empty.
    public let extents: PixelBox
    /// The model's own estimate of its IoU.
    public let predictedIoU: Float
    /// The stability of the mask against a shift of the logit threshold: 0 to 1.
    public let stabilityScore: Float
    /// The point of the image from which the mask was decoded.
    public let point: (x: Double, y: Double)
    /// Which of the point's candidates it is.
    public let candidate: Int
    /// The part of the image that was segmented.
    public let crop: PixelBox

    /// Creates a mask with its scores and origin.
    public init(
        mask: MaskRuns, predictedIoU: Float, stabilityScore: Float, point: (x: Double, y: Double), candidate: Int = 0,
        crop: PixelBox
    ) {
        (self.mask, extents) = (mask, mask.extents)
        (self.predictedIoU, self.stabilityScore, self.crop) = (predictedIoU, stabilityScore, crop)
        (self.point, self.candidate) = (point, candidate)
    }

    /// The same result with another mask.
    func with(_ mask: MaskRuns) -> AutomaticMask {
        AutomaticMask(
            mask: mask, predictedIoU: predictedIoU, stabilityScore: stabilityScore, point: point, candidate: candidate,
            crop: crop)
    }
}

/// Finds the masks of a whole image.
public struct AutomaticMaskGenerator: Sendable {
    /// A crop prepared for the model.
    public struct PreparedCrop {
        /// The model's input. // [S, S, 3]
        public var input: Tensor
        /// The crop's placement in it; its original size is the crop's.
        public var frame: MaskFrame

        /// Creates a crop from input and frame.
        public init(input: Tensor, frame: MaskFrame) { (self.input, self.frame) = (input, frame) }
    }

    /// Logits at a crop's size are computed for as many candidates at a time as fit these bytes, and at least one.
    static let pieceBytes = 64 << 20

    private let model: SegmentAnythingModel
    private let configuration: AutomaticMaskConfiguration

    /// Creates a generator for a model. Throws `SegmentAnythingError` for invalid settings.
    public init(
        _ model: SegmentAnythingModel, configuration: AutomaticMaskConfiguration = .init()
    ) throws(SegmentAnythingError) {
        try configuration.validate()
        (self.model, self.configuration) = (model, configuration)
    }

    /// The masks of an image, in the order of the last suppression: without crops by descending predicted IoU.
    ///
    /// The result does not depend on the thread count. Throws what `prepare` throws.
    /// - Parameters:
    ///   - context: Runs the model with its adapters.
    ///   - prepare: Prepares a part of the image for the model; called once per crop.
    public func masks(
        width: Int, height: Int, in context: PassContext, prepare: (PixelBox) throws -> PreparedCrop
    ) throws -> [AutomaticMask] {
        let crops = ImageCrop.all(
            width: width, height: height, layers: configuration.cropLayers,
            overlapRatio: configuration.cropOverlapRatio)
        var found: [AutomaticMask] = []
        for crop in crops {
            let part = CropSegmentation(
                model: model, configuration: configuration, crop: crop, imageWidth: width, imageHeight: height)
            found += try part.masks(try prepare(crop.box), in: context)
        }
        if crops.count > 1 {
            found = Self.suppressed(
                found, scores: found.map { 1 / Float($0.crop.width * $0.crop.height) },
                threshold: configuration.cropSuppressionThreshold)
        }
        return configuration.minimumRegionArea > 0 ? cleaned(found) : found
    }

    /// The masks without small holes and islands; a changed mask yields to a similar unchanged one.
    private func cleaned(_ masks: [AutomaticMask]) -> [AutomaticMask] {
        var cleaned = masks
        var scores = [Float](repeating: 1, count: masks.count)
        for index in masks.indices {
            let mask = masks[index].mask
            let filled = mask.fillingHoles(below: configuration.minimumRegionArea)
            let whole = (filled ?? mask).droppingIslands(below: configuration.minimumRegionArea)
            guard let changed = whole ?? filled else { continue }
            cleaned[index] = masks[index].with(changed)
            scores[index] = 0
        }
        return Self.suppressed(
            cleaned, scores: scores,
            threshold: max(configuration.boxSuppressionThreshold, configuration.cropSuppressionThreshold))
    }

    static func suppressed(_ masks: [AutomaticMask], scores: [Float], threshold: Double) -> [AutomaticMask] {
        BoxSuppression.kept(masks.map(\.extents), scores: scores, threshold: threshold).map { masks[$0] }
    }
}
