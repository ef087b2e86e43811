public import Layers
public import Tensors

/// The sizes of a whole model: one line per published one.
public struct SegmentAnythingConfiguration: Sendable, Equatable {
    /// The image encoder and its sizes.
    public enum Encoder: Sendable, Equatable {
        /// SAM's plain vision transformer.
        case viT(ImageEncoderViTConfiguration)
        /// The encoder of MobileSAM and LiteMedSAM.
        case tinyViT(TinyViTConfiguration)
    }

    /// The image encoder.
    public var encoder: Encoder
    /// The mask decoder.
    public var decoder: MaskDecoderConfiguration

    /// Creates a configuration; the decoder's width is the encoder's embedding width.
    public init(encoder: Encoder, decoder: MaskDecoderConfiguration = .init()) {
        (self.encoder, self.decoder) = (encoder, decoder)
    }

    /// Side of the square input, pixels.
    public var imageSize: Int {
        switch encoder {
        case .viT(let sizes): sizes.imageSize
        case .tinyViT(let sizes): sizes.imageSize
        }
    }

    /// Side of the image embedding's grid.
    public var embeddingSide: Int {
        switch encoder {
        case .viT(let sizes): sizes.gridSide
        case .tinyViT(let sizes): sizes.gridSides[3]
        }
    }

    /// The same model with a plain vision transformer that attends over the whole grid in every block (the released code
    /// of CoSAM); nil for any other encoder.
    public var allGlobal: SegmentAnythingConfiguration? {
        guard case .viT(var sizes) = encoder else { return nil }
        sizes.isAllGlobal = true
        return SegmentAnythingConfiguration(encoder: .viT(sizes), decoder: decoder)
    }

    /// The early tokens on the embedding's grid that HQ-SAM's decoder reads: the output of the first global block; in
    /// TinyViT what enters the third stage (sam-hq's `tiny_vit_sam.py`).
    public var earlyTap: TapSite {
        switch encoder {
        case .viT(let sizes): .output(of: sizes.isAllGlobal ? 0 : sizes.globalBlocks.first ?? 0)
        case .tinyViT(let sizes): .input(of: sizes.depths[1])
        }
    }

    /// Whether weights of the image encoder's own can train: in the plain vision transformer, unless its tables of positions
    /// are resized.
    public var canTrainEncoder: Bool {
        guard case .viT(let sizes) = encoder else { return false }
        return !sizes.isAllGlobal
    }

    /// SAM with ViT-B.
    public static let vitB = Self(encoder: .viT(.vitB))
    /// SAM with ViT-L.
    public static let vitL = Self(encoder: .viT(.vitL))
    /// SAM with ViT-H.
    public static let vitH = Self(encoder: .viT(.vitH))
    /// MobileSAM, 1024 px.
    public static let mobileSAM = Self(encoder: .tinyViT(.mobileSAM))
    /// LiteMedSAM, 256 px.
    public static let liteMedSAM = Self(encoder: .tinyViT(.liteMedSAM))

    /// A model of a few thousand parameters with padded windows and global blocks, for tests of the code around models.
    public static let tiny: Self = {
        var encoder = ImageEncoderViTConfiguration(width: 32, depth: 4, heads: 2, globalBlocks: [1, 3])
        (encoder.imageSize, encoder.window, encoder.embeddingWidth) = (128, 3, 32)
        return Self(
            encoder: .viT(encoder),
            decoder: MaskDecoderConfiguration(width: 32, heads: 2, mlpWidth: 64, iouHiddenWidth: 32))
    }()
}

/// A Segment Anything model with its frozen weights.
public struct SegmentAnythingModel: Sendable {
    /// The sizes.
    public let configuration: SegmentAnythingConfiguration
    /// Image to image embedding.
    public let encoder: any ImageEncoder
    /// Boxes, points and masks to embeddings.
    public let promptEncoder: PromptEncoder
    /// Embeddings to mask logits and predicted IoUs.
    public let decoder: MaskDecoder

    /// Builds the model, requesting every tensor from the source by its official name.
    public init(_ configuration: SegmentAnythingConfiguration, _ source: some ParameterSource) {
        self.configuration = configuration
        switch configuration.encoder {
        case .viT(let sizes): encoder = ImageEncoderViT(source, configuration: sizes)
        case .tinyViT(let sizes): encoder = TinyViT(source, sizes)
        }
        promptEncoder = PromptEncoder(
            source.scoped("prompt_encoder"),
            configuration: PromptEncoderConfiguration(
                width: configuration.decoder.width, imageSize: encoder.imageSize,
                embeddingSide: encoder.embeddingSide))
        decoder = MaskDecoder(source.scoped("mask_decoder"), configuration: configuration.decoder)
    }

    /// The tensors a weight file must hold, by name and shape.
    public static func parameterShapes(
        _ configuration: SegmentAnythingConfiguration
    ) -> [(name: String, shape: Shape)] {
        let recorder = ParameterRecorder()
        _ = SegmentAnythingModel(configuration, recorder)
        return recorder.requests
    }

    /// Tensors of published files that no part of the model reads: MobileSAM's classification head.
    public static let unusedTensors: Set<String> = [
        "image_encoder.head.weight", "image_encoder.head.bias", "image_encoder.norm_head.weight",
        "image_encoder.norm_head.bias",
    ]

    /// Masks and predicted IoUs without residuals.
    ///
    /// - Parameters:
    ///   - features: The encoder's features. // [h * w, C]
    ///   - selection: Three candidates per prompt (m = 3) or one (m = 1).
    public func predict(
        _ features: ImageFeatures, _ prompts: PromptBatch, masks selection: MaskSelection, in context: PassContext
    ) throws(SegmentAnythingError) -> DecodedMasks {
        let encoded = try promptEncoder.encode(prompts, in: context)
        return decoder.decode(
            features, position: promptEncoder.densePositionalEncoding, prompts: encoded, masks: selection, in: context)
    }

    /// The answer's logits for every prompt without residuals. // [n, 4 h, 4 w]
    public func logits(
        _ features: ImageFeatures, _ prompts: PromptBatch, in context: PassContext
    ) throws(SegmentAnythingError) -> Tensor {
        let logits = try predict(features, prompts, masks: .single, in: context).answer
        return logits.reshaped([logits.shape[0], logits.shape[2], logits.shape[3]])
    }
}
