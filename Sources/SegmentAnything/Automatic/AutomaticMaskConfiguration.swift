public import Recipes

/// How masks of a whole image are found without prompts; the defaults are SAM's (upstream: automatic_mask_generator.py).
public struct AutomaticMaskConfiguration: Sendable, Equatable {
    /// Points along each side of the image; the grid has the square of it.
    public var pointsPerSide = 32
    /// Points per call of the mask decoder. More points take more memory; scores change in their last digits.
    public var pointsPerBatch = 64
    /// A candidate is kept if its predicted IoU is above this; nothing is dropped at 0 or below.
    public var predictedIoUThreshold = 0.88
    /// A candidate is kept if its stability score is at least this; nothing is dropped at 0 or below.
    public var stabilityScoreThreshold = 0.95
    /// Distance by which the logit threshold is moved up and down for the stability score.
    public var stabilityScoreOffset = 1.0
    /// Of two masks of one crop whose boxes overlap by a higher IoU, the one with the lower predicted IoU is dropped.
    public var boxSuppressionThreshold = 0.7
    /// Layers of crops beside the whole image; layer L cuts it into 4^L.
    public var cropLayers = 0
    /// Of two masks whose boxes overlap by a higher IoU, the one from the larger crop is dropped.
    public var cropSuppressionThreshold = 0.7
    /// The fraction of the image's shorter side by which the crops of layer 1 overlap; halved with every layer.
    public var cropOverlapRatio = 512.0 / 1500.0
    /// The factor by which every layer of crops has fewer points per side than the one before.
    public var cropPointsDownscaleFactor = 1
    /// Holes and islands of fewer pixels are filled and dropped; 0 leaves the masks unchanged.
    public var minimumRegionArea = 0

    /// The kind of task of every prompt, as in `PromptBatch`; a model without a table ignores it.
    public var task = 0

    /// SAM's settings.
    public init() {}

    /// Maximum layers of crops: a fourth would have 256.
    public static let maximumCropLayers = 3
    /// Maximum points per side.
    public static let maximumPointsPerSide = 1024

    /// Points per side of a layer of crops; 0 is the whole image.
    func pointsPerSide(layer: Int) -> Int {
        var points = pointsPerSide
        for _ in 0..<layer { points /= cropPointsDownscaleFactor }
        return points
    }

    /// Throws `SegmentAnythingError` of kind `settings` for an invalid value.
    public func validate() throws(SegmentAnythingError) {
        func check(_ condition: Bool, _ text: @autoclosure () -> String) throws(SegmentAnythingError) {
            if !condition { throw SegmentAnythingError(.settings, text()) }
        }
        try check(
            (1...Self.maximumPointsPerSide).contains(pointsPerSide),
            "\(pointsPerSide) points per side; give 1 to \(Self.maximumPointsPerSide)")
        try check(pointsPerBatch > 0, "batches of \(pointsPerBatch) points; give 1 or more")
        try check(
            (0...Self.maximumCropLayers).contains(cropLayers),
            "\(cropLayers) layers of crops; give 0 to \(Self.maximumCropLayers)")
        try check(
            cropPointsDownscaleFactor > 0,
            "a downscale factor of \(cropPointsDownscaleFactor) for the points of crops; give 1 or more")
        try check(
            pointsPerSide(layer: cropLayers) > 0,
            "no point is left in crop layer \(cropLayers); give more points per side or a smaller downscale factor")
        try check(
            cropOverlapRatio >= 0 && cropOverlapRatio <= 1, "a crop overlap ratio of \(cropOverlapRatio); give 0 to 1")
        try check(
            stabilityScoreOffset >= 0 && stabilityScoreOffset.isFinite,
            "a stability score offset of \(stabilityScoreOffset); give 0 or more")
        try check(minimumRegionArea >= 0, "a minimum region area of \(minimumRegionArea) pixels; give 0 or more")
        let thresholds = [
            predictedIoUThreshold, stabilityScoreThreshold, boxSuppressionThreshold, cropSuppressionThreshold,
        ]
        try check(
            thresholds.allSatisfy(\.isFinite),
            "thresholds of \(thresholds.map { "\($0)" }.joined(separator: ", ")); give numbers")
    }
}

/// The settings that recipes name, below `automatic`.
extension AutomaticMaskConfiguration: RecipeSection {
    public static let fields: [RecipeField<AutomaticMaskConfiguration>] = [
        .integer(
            "pointsPerSide", \.pointsPerSide, 1...maximumPointsPerSide, "Points on a side of the grid of prompts"),
        .number("predictedIoU", \.predictedIoUThreshold, 0...1, "Predicted IoU above which a mask is kept"),
        .number("stability", \.stabilityScoreThreshold, 0...1, "Stability score from which on a mask is kept"),
        .number(
            "boxSuppression", \.boxSuppressionThreshold, 0...1, "IoU of boxes above which the worse one is dropped"),
        .integer(
            "cropLayers", \.cropLayers, 0...maximumCropLayers,
            "Layers of crops that are searched too, each of four times as many as the one before"),
        .integer(
            "minimumRegionArea", \.minimumRegionArea, 0...1_000_000_000,
            "Holes and islands below this area in pixels are removed; 0 removes none"),
    ]
}
