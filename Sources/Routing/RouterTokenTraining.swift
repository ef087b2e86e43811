public import Kernels
public import Layers
public import SegmentAnything
public import Tensors

/// The part of one memory image in a step of training tokens and head.
public struct RouterContribution: Sendable, Equatable {
    /// The image's query. // [D]
    public let feature: [Float]
    /// The gradient of its own cross entropy with respect to the tokens. // [k D]
    public let dTokens: [Float]

    /// Creates a contribution, for example one that another rank computed. // [D], [k D]
    public init(feature: [Float], dTokens: [Float]) { (self.feature, self.dTokens) = (feature, dTokens) }
}

/// Tokens and head while they train together: the gradient goes through the frozen encoder into the tokens alone.
public struct RouterState: Sendable {
    /// The trained tokens. // [1, k, D]
    public var tokens: Tensor { trained.value(slot) }
    /// The trained head.
    public private(set) var head: RouterHead
    private let adapter: RouterTokens
    private let slot: ParameterSlot
    private var trained: TrainableParameters
    private var tokenMoments: Adam
    private var headMoments: Adam
    private var steps = 0

    /// Begins with tokens and a head.
    public init(_ tokens: RouterTokens, _ head: RouterHead) {
        precondition(tokens.width == head.width, "tokens of \(tokens.width) for a head of \(head.width)")
        slot = ParameterSlot(offset: 0, shape: tokens.values.shape)
        var places = ParameterPlaces(group: ParameterGroup(RouterTokens.kind))
        adapter = RouterTokens(values: tokens.values, &places)
        trained = TrainableParameters(layout: places.layout, values: tokens.values)
        self.head = head
        tokenMoments = RouterTraining.adam(count: tokens.values.count)
        headMoments = RouterTraining.adam(count: head.values.count)
    }

    /// One image forward and backward.
    ///
    /// The base encoder alone is active. Each block's input is kept, (T + k) D numbers, and the rest is computed again.
    /// Throws `SegmentAnythingError` of kind `unsupported` for an encoder that cannot process additional tokens.
    public func contribution(
        of stem: EncoderStem, label: Int, in encoder: any ImageEncoder, _ workspace: Workspace
    ) throws(SegmentAnythingError) -> RouterContribution {
        let context = PassContext(workspace, trained: trained, adapters: ActiveAdapters([adapter]))
        guard let pass = try encoder.encodeTokensForTraining(stem, in: context) else {
            preconditionFailure("the router's tokens are active in their own pass")
        }
        let feature = pass.tokens.rows(0..<1).elements
        let (_, dLogits) = head.loss(feature, label: label)
        var dOutput = Tensor(zeros: pass.tokens.shape)  // [k, D]
        for (i, value) in head.featureGradient(dLogits).enumerated() { dOutput.mutablePointer[i] = value }
        var gradients = GradientBuffer(trained.layout)
        pass.backward(dOutput, &gradients)
        return RouterContribution(feature: feature, dTokens: gradients.values.elements)
    }

    /// Makes a step of Adam from the contributions of a batch, summed in their order, and returns the mean cross entropy.
    ///
    /// Throws `RoutingError` of kind `notFinite`.
    public mutating func step(
        _ contributions: [RouterContribution], labels: [Int], learningRate: Double
    ) throws(RoutingError) -> Double {
        let (loss, dHead) = head.meanLoss(contributions.map(\.feature), labels: labels)
        let dTokens = Self.mean(contributions.map(\.dTokens))
        try RouterTraining.check(loss, dHead + dTokens, step: steps)
        var tokens = trained.values.elements
        tokenMoments.update(&tokens, gradient: dTokens, rate: learningRate)
        headMoments.update(&head.values, gradient: dHead, rate: learningRate)
        trained.values = Tensor(tokens, trained.values.shape)
        steps += 1
        return loss
    }

    /// The mean of gradients, summed in Double in their order. // B x [k D] -> [k D]
    package static func mean(_ gradients: [[Float]]) -> [Float] {
        var sums = [Double](repeating: 0, count: gradients.first?.count ?? 0)
        for gradient in gradients {
            for i in sums.indices { sums[i] += Double(gradient[i]) }
        }
        return sums.map { Float($0 / Double(gradients.count)) }
    }
}

extension RouterTraining {
    /// Trains tokens and a new head on memory images, and returns both with the loss of every step.
    ///
    /// - Parameters:
    ///   - labels: The position of each image's domain in the training sequence.
    ///   - domains: Domains T so far.
    ///   - tokens: The tokens training begins with.
    ///   - contributions: The contributions of the images of a batch, in its order; ranks may share the work and gather
    ///     them. Every rank gets equal bits from equal contributions.
    ///
    /// Throws `RoutingError` of kind `memory` and `notFinite`, and what `contributions` throws.
    public func trainTokens(
        labels: [Int], domains: Int, from tokens: RouterTokens,
        contributions: (_ images: [Int], RouterState) throws -> [RouterContribution]
    ) throws -> (tokens: RouterTokens, head: RouterHead, losses: [Double]) {
        try check(labels, domains: domains)
        var state = RouterState(tokens, RouterHead(width: tokens.width, domains: domains, seed: seed))
        var losses: [Double] = []
        for batch in batches(of: labels.count) {
            let parts = try contributions(batch, state)
            precondition(parts.count == batch.count, "\(parts.count) contributions to a batch of \(batch.count)")
            losses.append(try state.step(parts, labels: batch.map { labels[$0] }, learningRate: learningRate))
        }
        return (RouterTokens(values: state.tokens), state.head, losses)
    }
}
