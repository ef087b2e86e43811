public import Adapters
public import Datasets
public import Imaging
public import Kernels
import Layers
public import Routing
public import SegmentAnything
import Telemetry
import Tensors

// Of an image with the stem s, for a pool with adapters phi_i and a router:
//   F = encoder(s) of the base, with what router and adapters read,   i = router(F)
//   F stays as it is where phi_i acts in the decoder alone; else F_i = encoder(s) with phi_i, from the image where weights of
//   the encoder itself were trained

/// Adapted models over one base, one per domain, and the router that chooses one of them for each image.
public struct AdaptedPool: Sendable {
    /// The model without adapters, which serves images of no known domain.
    public let base: AdaptedModel
    /// The adapted models, in the order of the router's domains.
    public let members: [AdaptedModel]
    /// What chooses.
    public let router: DomainRouter

    /// Joins models and a router over their domains.
    public init(base: AdaptedModel, members: [AdaptedModel], router: DomainRouter) {
        precondition(members.count == router.domains.count, "\(members.count) models, \(router.domains.count) domains")
        (self.base, self.members, self.router) = (base, members, router)
    }

    /// What a pass of the base encoder must give for the router and for every adapter of the decoder.
    private var request: EncoderRequest {
        let taps = Set(members.flatMap { $0.adapters.taps }).sorted()
        return router.request(beside: EncoderRequest(taps: taps), in: base.model.configuration)
    }

    /// Encodes an image and chooses its model. Throws `SegmentAnythingError` for tokens that an encoder refuses.
    func encode(_ input: Tensor, in workspace: Workspace) throws(SegmentAnythingError) -> EncodedImage {
        let plain = base.context(in: workspace)
        let encoder = base.model.encoder
        let stem = encoder.stem(input, in: plain)
        let features = encoder.encode(stem, request, in: plain)
        let decision = router.route(try router.feature(of: stem, features, in: base.model, workspace))
        let chosen = model(for: decision)
        let context = chosen.context(in: workspace)
        let own: ImageFeatures =
            if chosen.model.encoder.canTrain {
                chosen.model.encoder.encode(input, in: context)
            } else {
                chosen.adapters.actsInEncoder ? encoder.encode(stem, in: context) : features
            }
        return EncodedImage(model: chosen.model, features: own, context: context, decision: decision)
    }

    /// The model that serves an image.
    public func model(for decision: RoutingDecision) -> AdaptedModel {
        decision.domain.map { members[$0] } ?? base
    }

    /// Where an image goes.
    ///
    /// - Parameter view: How images are brought to the model's square, as the pool states it.
    ///
    /// Throws `SegmentAnythingError` for tokens that an encoder refuses.
    public func route(
        _ image: Image, seen view: EvaluationView, by preprocessing: Preprocessing, in workspace: Workspace
    ) throws(SegmentAnythingError) -> RoutingDecision {
        let plain = base.context(in: workspace)
        let encoder = base.model.encoder
        let stem = encoder.stem(view.input(of: image, preprocessing), in: plain)
        let asked = router.request(in: base.model.configuration)
        return router.route(
            try router.feature(of: stem, encoder.encode(stem, asked, in: plain), in: base.model, workspace))
    }
}

/// An image's features, and with what its prompts are decoded.
struct EncodedImage {
    let model: SegmentAnythingModel
    let features: ImageFeatures
    let context: PassContext
    /// Where the router sent it; nil without a router.
    let decision: RoutingDecision?
}

/// What is evaluated: one model for all images, or a pool with a router.
public enum EvaluatedModel: Sendable {
    /// One model.
    case one(AdaptedModel)
    /// A pool.
    case pool(AdaptedPool)

    /// Encodes an image with the model that serves it.
    func encode(_ input: Tensor, in workspace: Workspace) throws(SegmentAnythingError) -> EncodedImage {
        switch self {
        case .one(let adapted):
            let context = adapted.context(in: workspace)
            return EncodedImage(
                model: adapted.model, features: adapted.model.encoder.encode(input, in: context), context: context,
                decision: nil)
        case .pool(let pool): return try pool.encode(input, in: workspace)
        }
    }

    /// Whether an adapter with an output token answers prompts, with one mask in place of SAM's.
    public var hasAnswerOfAdapter: Bool { models.contains { !$0.adapters.outputTokens.isEmpty } }

    private var models: [AdaptedModel] {
        switch self {
        case .one(let model): [model]
        case .pool(let pool): pool.members
        }
    }

    /// Throws `RunError` of kind `configuration` for SAM's three candidates where an adapter's one mask answers.
    ///
    /// - Parameter option: What asks for them.
    public func checkCandidates(_ option: String) throws {
        guard hasAnswerOfAdapter else { return }
        throw RunError(
            .configuration,
            "\(option) chooses among SAM's own masks, and this adapter (HQ-SAM's decoder) answers with one",
            remedy: "leave it out and give boxes, points or masks, or use SAM without the adapter")
    }

    /// Throws `RunError` of kind `configuration` for a kind of task, as in `PromptBatch`, without a vector in any model.
    public func checkTable(of task: Int) throws {
        guard task > 0, !models.contains(where: \.adapters.knowsTasks) else { return }
        throw RunError(
            .configuration, "the model has no table of tasks, so --task changes nothing",
            remedy: "leave out --task, or give an adapter that was trained with tasks")
    }
}
