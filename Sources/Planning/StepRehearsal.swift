public import AdaptationMethods
public import Adapters
import Kernels
public import Layers
public import SegmentAnything
import Tensors

/// A step of a method on one image, as far as it determines memory and operations.
public struct StepRequest: Sendable {
    /// The model's sizes.
    public var configuration: SegmentAnythingConfiguration
    /// The method.
    public var method: any AdaptationMethod
    /// The settings of the adapters it trains.
    public var adapters = AdapterOptions()
    /// Prompts per decoder pass.
    public var decoderChunk = StepContext.defaultDecoderChunk
    /// What the encoder recomputes in the backward pass.
    public var recompute = RecomputeLevel.none
    /// Instances per image.
    public var instances = 40
    /// Whether masks are also compared with those of former parameters.
    public var distils = false
    /// Points per instance, or nil for boxes.
    public var points: Int?

    /// Creates a step with the defaults of a recipe.
    public init(_ configuration: SegmentAnythingConfiguration, _ method: any AdaptationMethod) {
        (self.configuration, self.method) = (configuration, method)
    }
}

/// The tensors and passes of a step, counted by executing one without computing.
///
/// The method's own step code runs, with kernels that skip their tasks, so the count cannot diverge from the code.
/// Fresh pages occupy no memory before they are written, and most never are. A method that does not train is rehearsed
/// as the evaluation of one image.
public struct StepRehearsal: Sendable, Equatable {
    /// How often the parts of the model run in a step.
    public struct Passes: Sendable, Equatable {
        /// Passes below the lowest adapter.
        public let stems: Int
        /// Encoder passes above the lowest adapter, forward and backward.
        public let encoder: (forward: Int, backward: Int)
        /// Prompts through the decoder, forward and backward.
        public let decoder: (forward: Int, backward: Int)

        init(_ counter: PassCounter) {
            stems = counter.stems
            encoder = (counter.encoderForwards, counter.encoderBackwards)
            decoder = (counter.decodedPrompts, counter.decodedBackwards)
        }

        /// Equal if all counts are.
        public static func == (one: Passes, other: Passes) -> Bool {
            one.stems == other.stems && one.encoder == other.encoder && one.decoder == other.decoder
        }
    }

    /// Bytes of the frozen weights as stored by the layers, including copies in another layout.
    public let weights: Int
    /// Bytes that one encoder pass keeps for its backward pass.
    public let encoderResiduals: Int
    /// The peak number of bytes in tensors during a step, excluding weights and including blocks kept for reuse.
    public let step: Int
    /// Number of trainable parameters.
    public let parameterCount: Int
    /// True if parameters of the mask decoder train.
    public let trainsDecoder: Bool
    /// True if weights of the image encoder's own train.
    public let trainsEncoderWeights: Bool
    /// The passes of a step; all 0 for a method that does not train.
    public let passes: Passes

    /// Rehearses one step on one image, with tensors from its own pool.
    ///
    /// Throws `AdapterError` for trainables that the model does not have, and the errors of the step.
    ///
    /// - Parameter keepsAnchor: True if the frozen model's features are already stored.
    public init(_ request: StepRequest, keepsAnchor: Bool = false) throws {
        let pool = StoragePool()
        defer { pool.trim() }
        self = try StoragePool.$rehearsal.withValue(pool) {
            try Self(request, keepsAnchor: keepsAnchor, countedBy: pool)
        }
    }

    private init(_ request: StepRequest, keepsAnchor: Bool, countedBy pool: StoragePool) throws {
        do {
            let model = SegmentAnythingModel(request.configuration, UntouchedParameters())
            pool.trim()
            weights = withExtendedLifetime(model) { pool.figures.live }
        }
        let trainables = try Trainables(
            request.method.trainables, in: ModelDescription(request.configuration), request.adapters)
        let adapted = AdaptedModel(request.configuration, UntouchedParameters(), trainables)
        parameterCount = trainables.layout.count
        trainsDecoder = trainables.layout.entries.contains { $0.name.hasPrefix("mask_decoder.") }
        trainsEncoderWeights = adapted.model.encoder.canTrain
        let workspace = Workspace(rehearsing: 1)
        let example = try Self.example(request)
        encoderResiduals =
            request.method.trains
            ? Self.residuals(
                adapted.model.encoder, example, adapted.context(in: workspace, recompute: request.recompute), pool)
            : 0
        let kept = keepsAnchor ? adapted.model.encoder.encode(example.weak, in: PassContext(workspace)) : nil
        pool.trim()
        pool.resetPeaks()
        let counter = PassCounter()
        if request.method.trains {
            var context = StepContext(
                adapted, decoderChunk: request.decoderChunk, recompute: request.recompute,
                anchors: AnchorFeatures(kept: kept), counter: counter, in: workspace)
            if request.distils { context.distillation = adapted.trained.map { Distillation(from: $0, weight: 1) } }
            _ = try request.method.step(example, in: &context)
        } else {
            try Self.evaluate(example, adapted, chunk: request.decoderChunk, in: workspace)
        }
        step = pool.figures.peak - weights
        passes = Passes(counter)
    }

    /// The tensors that one encoder pass of the method keeps.
    private static func residuals(
        _ encoder: any ImageEncoder, _ example: AdaptationExample, _ context: PassContext, _ pool: StoragePool
    ) -> Int {
        let before = pool.figures.live
        let pass = encoder.encodeForTraining(example.weak, in: context)
        return withExtendedLifetime(pass) { pool.figures.live - before }
    }

    private static func evaluate(
        _ example: AdaptationExample, _ adapted: AdaptedModel, chunk: Int, in workspace: Workspace
    ) throws {
        let context = adapted.context(in: workspace)
        let features = adapted.model.encoder.encode(example.weak, in: context)
        for start in stride(from: 0, to: example.prompts.count, by: chunk) {
            let part = try example.prompts.objects(start..<min(start + chunk, example.prompts.count))
            _ = try adapted.model.logits(features, part, in: context)
        }
    }

    private static func example(_ request: StepRequest) throws -> AdaptationExample {
        let (side, count) = (request.configuration.imageSize, request.instances)
        let prompts =
            try request.points.map { points in
                try PromptBatch(
                    points: Tensor(zeros: [count, points, 2]),
                    labels: [PointLabel](repeating: .foreground, count: count * points))
            } ?? PromptBatch(boxes: Tensor(zeros: [count, 4]))
        let needs = request.method.needs
        let isJittered = needs.view == .jittered
        var example = AdaptationExample(
            weak: Tensor(uninitialized: [side, side, 3]), strong: Tensor(uninitialized: [side, side, 3]),
            prompts: prompts,
            masks: needs.masks && !isJittered ? [UInt8](repeating: 0, count: count * side * side) : nil)
        if needs.maps {
            let low = 4 * request.configuration.embeddingSide
            func maps() -> Tensor { Tensor(uninitialized: [count, low, low]) }
            example.pseudoMasks = PseudoMasks(probability: maps(), refined: maps())
        }
        if needs.masks, isJittered { example.softMasks = Tensor(uninitialized: [count, side, side]) }
        return example
    }
}

/// Tensors of the right shapes whose pages are never written.
private struct UntouchedParameters: ParameterSource {
    func tensor(_ name: String, _ shape: Shape) -> Tensor { Tensor(uninitialized: shape) }
}
