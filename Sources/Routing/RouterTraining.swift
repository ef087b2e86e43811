package import Layers
import Tensors

/// The settings of a router's training: a new head over the memory images of all domains so far.
public struct RouterTraining: Sendable, Equatable {
    /// Passes over the memory images.
    public var epochs: Int
    /// Images in a batch; the images behind the last whole batch of an epoch are left out.
    public var batch: Int
    /// Learning rate of Adam, constant.
    public var learningRate: Double
    /// Seed of the head and of the order of images.
    public var seed: UInt64

    /// Creates settings.
    public init(epochs: Int, batch: Int = 4, learningRate: Double, seed: UInt64 = 0) {
        precondition(epochs > 0 && batch > 0 && learningRate > 0, "a training without steps")
        (self.epochs, self.batch, self.learningRate, self.seed) = (epochs, batch, learningRate, seed)
    }

    /// Those of CoSAM's released code, for queries as they are: 10 epochs, batches of 4, rate 1e-3.
    public static func published(seed: UInt64 = 0) -> RouterTraining {
        RouterTraining(epochs: 10, learningRate: 1e-3, seed: seed)
    }

    /// Those for standardised means, which have few channels: 100 epochs, rate 1e-2.
    public static func standardised(seed: UInt64 = 0) -> RouterTraining {
        RouterTraining(epochs: 100, learningRate: 1e-2, seed: seed)
    }

    /// Those for a query: the published ones for tokens and for statistics, which have many channels.
    public static func standard(for query: RouterQuery, seed: UInt64 = 0) -> RouterTraining {
        switch query {
        case .tokens, .statistics: published(seed: seed)
        case .earlyFeatures, .embedding: standardised(seed: seed)
        }
    }

    /// The images of every step in order: a new permutation in each epoch, whole batches alone.
    public func batches(of count: Int) -> [[Int]] {
        (0..<epochs).flatMap { epoch -> [[Int]] in
            var generator = SeededGenerator(seed: seed, epoch: epoch, purpose: "order of memory images")
            let order = generator.permutation(count)
            return (0..<count / batch).map { Array(order[$0 * batch..<($0 + 1) * batch]) }
        }
    }

    /// PyTorch's Adam with its default constants and no decay.
    package static func adam(count: Int) -> Adam {
        Adam(
            count: count,
            configuration: .init(
                beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0, isWeightDecayCoupled: true))
    }

    /// Trains a new head on given queries, and returns it with the loss of every step.
    ///
    /// Equal queries give equal bits on every rank.
    ///
    /// - Parameters:
    ///   - features: The query of each memory image. // n x [D]
    ///   - labels: The position of its domain in the training sequence.
    ///   - domains: Domains T so far.
    ///
    /// Throws `RoutingError` of kind `memory` if a domain has no image or all images together are no batch, and of kind
    /// `notFinite`.
    public func trainHead(
        _ features: [[Float]], labels: [Int], domains: Int
    ) throws(RoutingError) -> (head: RouterHead, losses: [Double]) {
        try check(labels, domains: domains)
        try Self.check(features)
        var head = RouterHead(width: features[0].count, domains: domains, seed: seed)
        var adam = Self.adam(count: head.values.count)
        var losses: [Double] = []
        for batch in batches(of: features.count) {
            let (loss, gradient) = head.meanLoss(batch.map { features[$0] }, labels: batch.map { labels[$0] })
            try Self.check(loss, gradient, step: losses.count)
            adam.update(&head.values, gradient: gradient, rate: learningRate)
            losses.append(loss)
        }
        return (head, losses)
    }

    /// Throws `RoutingError` of kind `memory` unless every domain has images and all together fill a batch.
    func check(_ labels: [Int], domains: Int) throws(RoutingError) {
        guard labels.count >= batch else {
            throw RoutingError(
                .memory,
                "\(labels.count) memory images are fewer than a batch of \(batch); keep more images of each domain")
        }
        guard let empty = (0..<domains).first(where: { !labels.contains($0) }) else { return }
        throw RoutingError(.memory, "domain \(empty) has no memory image; keep some images of every domain")
    }

    /// Throws `RoutingError` of kind `notFinite` if a query has a number that is not finite.
    static func check(_ features: [[Float]]) throws(RoutingError) {
        guard let image = features.firstIndex(where: { !$0.allSatisfy(\.isFinite) }) else { return }
        throw RoutingError(
            .notFinite, "the query of memory image \(image) is not finite; check the image and the model's weights")
    }

    /// Throws `RoutingError` of kind `notFinite` if a step cannot be made; Adam squares the gradient.
    static func check(_ loss: Double, _ gradient: [Float], step: Int) throws(RoutingError) {
        guard !loss.isFinite || !gradient.allSatisfy({ ($0 * $0).isFinite }) else { return }
        throw RoutingError(
            .notFinite,
            "loss or gradient of the router is not finite in step \(step); lower its learning rate, or check the images"
        )
    }
}
