public import Adapters
import Layers

// The one-step methods of the CoSAM benchmark (arXiv 2412.06418, section 4): the same loss, prompts and views, with other
// parameters that train.

/// HQ-SAM's decoder token and branches, the model itself frozen (Ke et al., NeurIPS 2023).
public struct HQSAM: AdaptationMethod {
    /// `hq-sam`.
    public static let name = "hq-sam"
    private let training: PointSampledTraining
    /// bce, dice.
    public let lossNames = PointSampledTraining.lossNames
    /// A jittered view and its masks.
    public let needs = PointSampledTraining.needs
    /// True.
    public let distils = true
    /// The adapter of the mask decoder.
    public let trainables = TrainablePlan(adapters: [.init(HQDecoder.kind)])

    /// Creates the method.
    public init(_ settings: PointSampledSettings = .init()) { training = PointSampledTraining(settings: settings) }

    /// The losses of one image; their gradient is added to the context's.
    public func step(_ example: AdaptationExample, in context: inout StepContext) throws -> StepLosses {
        try training.step(example, in: &context)
    }
}

/// All of SAM's own mask decoder, its mask token 0 alone in the loss ("Decoder-Tuning" in CoSAM's tables).
public struct DecoderTuning: AdaptationMethod {
    /// `decoder-tuning`.
    public static let name = "decoder-tuning"
    private let training: PointSampledTraining
    /// bce, dice.
    public let lossNames = PointSampledTraining.lossNames
    /// A jittered view and its masks.
    public let needs = PointSampledTraining.needs
    /// True.
    public let distils = true
    /// The mask decoder.
    public let trainables = TrainablePlan(
        adapters: [], parameters: [.init("mask_decoder.", group: ParameterGroup("mask_decoder"))])

    /// Creates the method.
    public init(_ settings: PointSampledSettings = .init()) { training = PointSampledTraining(settings: settings) }

    /// The losses of one image; their gradient is added to the context's.
    public func step(_ example: AdaptationExample, in context: inout StepContext) throws -> StepLosses {
        try training.step(example, in: &context)
    }
}

/// SAM-Adapter's prompts of a plain vision transformer and all of SAM's mask decoder (Chen et al., ICCV Workshops 2023).
public struct SAMAdapterTuning: AdaptationMethod {
    /// `sam-adapter`.
    public static let name = "sam-adapter"
    private let training: PointSampledTraining
    /// bce, dice.
    public let lossNames = PointSampledTraining.lossNames
    /// A jittered view and its masks.
    public let needs = PointSampledTraining.needs
    /// True.
    public let distils = true
    /// The adapter and the mask decoder.
    public let trainables = TrainablePlan(
        adapters: [.init(SAMAdapter.kind)],
        parameters: [.init("mask_decoder.", group: ParameterGroup("mask_decoder"))])

    /// Creates the method.
    public init(_ settings: PointSampledSettings = .init()) { training = PointSampledTraining(settings: settings) }

    /// The losses of one image; their gradient is added to the context's.
    public func step(_ example: AdaptationExample, in context: inout StepContext) throws -> StepLosses {
        try training.step(example, in: &context)
    }
}

/// Low-rank pairs in the image encoder, trained like the other one-step methods; not in CoSAM's tables.
public struct LowRankTuning: AdaptationMethod {
    /// `lora`.
    public static let name = "lora"
    private let training: PointSampledTraining
    /// bce, dice.
    public let lossNames = PointSampledTraining.lossNames
    /// A jittered view and its masks.
    public let needs = PointSampledTraining.needs
    /// True.
    public let distils = true

    /// Creates the method.
    public init(_ settings: PointSampledSettings = .init()) { training = PointSampledTraining(settings: settings) }

    /// The losses of one image; their gradient is added to the context's.
    public func step(_ example: AdaptationExample, in context: inout StepContext) throws -> StepLosses {
        try training.step(example, in: &context)
    }
}
