public import Adapters
public import Datasets
public import Imaging
public import Kernels
public import ModelLoading
public import SegmentAnything

/// Segments whole images without prompts.
public struct AutomaticSegmenter {
    /// A segmented object in image pixels, as a label for training.
    public struct Label: Sendable, Equatable {
        /// The tight box of its mask.
        public let box: Box
        /// Its mask.
        public let mask: RunLengthEncoding
        /// What it was decoded from; nil where that is not known.
        public var origin: MaskOrigin?
    }

    private let generator: AutomaticMaskGenerator
    private let adapted: AdaptedModel
    private let preprocessing: Preprocessing
    private let view: EvaluationView
    private let workspace: Workspace

    /// Creates a segmenter from a model, with or without adaptation.
    ///
    /// - Parameter view: How the image and its crops are brought to the model's square.
    ///
    /// Throws `SegmentAnythingError` for invalid settings.
    public init(
        _ loaded: LoadedModel, adapted: AdaptedModel? = nil, settings: AutomaticMaskConfiguration = .init(),
        seen view: EvaluationView = .fit, workspace: Workspace
    ) throws(SegmentAnythingError) {
        self.adapted = adapted ?? loaded.base
        generator = try AutomaticMaskGenerator(self.adapted.model, configuration: settings)
        (preprocessing, self.view, self.workspace) = (loaded.preprocessing, view, workspace)
    }

    /// The masks of an image, in the order of `AutomaticMaskGenerator`; independent of the number of threads.
    ///
    /// Throws `SegmentAnythingError`.
    public func masks(of image: Image) throws -> [AutomaticMask] {
        let picture = image.rgb()
        let context = adapted.context(in: workspace)
        return try generator.masks(width: picture.width, height: picture.height, in: context) { crop in
            let part = picture.cropped(x: crop.x0, y: crop.y0, width: crop.width, height: crop.height)
            return .init(
                input: view.input(of: part, preprocessing),
                frame: view.frame(width: part.width, height: part.height, preprocessing).maskFrame)
        }
    }

    /// The non-empty masks of an image as labels, in the same order.
    ///
    /// Throws `SegmentAnythingError`, and `ShapeFault` for an image with more pixels than an encoding supports.
    public func labels(of image: Image) throws -> [Label] {
        try masks(of: image).compactMap { found in
            let mask = try found.mask.encoding()
            return mask.box.map { box in
                Label(box: box, mask: mask, origin: MaskOrigin(point: found.point, candidate: found.candidate))
            }
        }
    }
}

extension MaskRuns {
    /// The same runs in the form of data sets. Throws `ShapeFault` for more pixels than an encoding supports.
    public func encoding() throws(ShapeFault) -> RunLengthEncoding {
        try RunLengthEncoding(counts: counts.map { Int($0) }, width: width, height: height)
    }
}
