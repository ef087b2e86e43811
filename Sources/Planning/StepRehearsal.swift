public import Adapters
public import AdaptationMethods
import Kernels
public import Layers
public import SegmentAnything
import Tensors

/// A step of a method on one image of a model, as far as its memory and its operations depend on it.
public struct StepRequest: Sendable {
    /// The model's sizes.
    public var configuration: SegmentAnythingConfiguration
    /// The method.
    public var method: any AdaptationMethod
    /// The settings of the adapters it trains.
    public var adapters = AdapterOptions()
    /// Prompts that the decoder takes at once.
    public var decoderChunk = StepContext.defaultDecoderChunk
    /// What the encoder computes again in backward.
    public var recompute = RecomputeLevel.none
    /// Instances in the image.
    public var instances = 40
    /// Points per instance, or nil for boxes.
    public var points: Int?

    /// A step with the defaults of a recipe.
    public init(_ configuration: SegmentAnythingConfiguration, _ method: any AdaptationMethod) {
        (self.configuration, self.method) = (configuration, method)
    }
}

/// The tensors and the passes of a step, counted by going through one without computing.
///
/// The very code of the method's step runs, with kernels that leave out their tasks, so the count cannot drift from the
/// code. Fresh pages of the system take no memory before they are written, and most never are. A method without steps is
/// rehearsed as the evaluation of one image.
public struct StepRehearsal: Sendable, Equatable {
    /// How often the parts of the model run in a step.
    public struct Passes: Sendable, Equatable {
        /// Passes below the lowest adapter.
        public let stems: Int
        /// Encoder passes above it, and backward ones.
        public let encoder: (forward: Int, backward: Int)
        /// Prompts through the decoder, and back.
        public let decoder: (forward: Int, backward: Int)

        init(_ counter: PassCounter) {
            stems = counter.stems
            encoder = (counter.encoderForwards, counter.encoderBackwards)
            decoder = (counter.decodedPrompts, counter.decodedBackwards)
        }

        /// Equal where all counts are.
        public static func == (one: Passes, other: Passes) -> Bool {
            one.stems == other.stems && one.encoder == other.encoder && one.decoder == other.decoder
        }
    }

    /// Bytes of the frozen weights as the layers hold them, copies in another layout included.
    public let weights: Int
    /// Bytes one encoder pass keeps for its backward.
    public let encoderResiduals: Int
    /// The largest number of bytes in tensors during a step, the weights not counted, blocks kept for reuse included.
    public let step: Int
    /// Numbers that train.
    public let parameterCount: Int
    /// Whether parameters of the mask decoder train.
    public let trainsDecoder: Bool
    /// What runs in a step; all 0 for a method without steps.
    public let passes: Passes

    /// Rehearses one step on one image, with tensors from a pool of its own.
    ///
    /// Throws `AdapterError` for trainables that the model does not have, and what the step throws.
    ///
    /// - Parameter keepsAnchor: True where the frozen model's features are there already.
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
            _ = try request.method.step(example, in: &context)
        } else {
            try Self.evaluate(example, adapted, chunk: request.decoderChunk, in: workspace)
        }
        step = pool.figures.peak - weights
        passes = Passes(counter)
    }

    /// What one encoder pass of the method keeps.
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
        return AdaptationExample(
            weak: Tensor(uninitialized: [side, side, 3]), strong: Tensor(uninitialized: [side, side, 3]),
            prompts: prompts,
            masks: request.method.needs.masks ? [UInt8](repeating: 0, count: count * side * side) : nil)
    }
}

/// Tensors of the right shapes whose pages stay untouched.
private struct UntouchedParameters: ParameterSource {
    func tensor(_ name: String, _ shape: Shape) -> Tensor { Tensor(uninitialized: shape) }
}
