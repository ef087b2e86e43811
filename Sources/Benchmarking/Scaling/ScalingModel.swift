/// A step's time by number of ranks, from two measured parts: computing an image, and communication.
///
///     t(N) = images of the busiest rank x computeSeconds / core bound
///          + messages(N) latency + bytes(N) secondsPerByte
///
/// with `messages` and `bytes` of `StepExchange`. It ignores stragglers, slow images and waiting for data.
public struct ScalingModel: Codable, Sendable, Equatable {
    /// Seconds to compute one image on a rank with its own cores.
    public var computeSeconds: Double
    /// The measured network.
    public var network: Network
    /// Number of trainable parameters.
    public var parameters: Int
    /// Parts of the method's loss.
    public var lossParts: Int

    /// The model's prediction for many nodes with one rank each.
    public struct Prediction: Codable, Sendable, Equatable {
        /// Nodes.
        public var nodes: Int
        /// Rate over nodes times the rate of one node.
        public var efficiency: Double
        /// Share of a step spent communicating.
        public var communication: Double
        /// The efficiency if gradients and parameters are exchanged with every other rank in turn.
        public var pairwiseEfficiency: Double
        /// Share of a step spent communicating in that case.
        public var pairwiseCommunication: Double
    }

    /// Creates a model.
    public init(computeSeconds: Double, network: Network, parameters: Int, lossParts: Int = 0) {
        (self.computeSeconds, self.network) = (computeSeconds, network)
        (self.parameters, self.lossParts) = (parameters, lossParts)
    }

    /// The compute time that best fits the measured steps, by least squares of the relative error; nil if the exchanges
    /// alone would take longer than the steps.
    public init?(fitting points: [ScalingPoint], network: Network, parameters: Int, lossParts: Int = 0) {
        var (top, bottom) = (0.0, 0.0)
        for point in points {
            let work = point.work
            let exchange = StepExchange(
                parameters: parameters, imagesPerRank: work.imagesOfBusiestRank, lossParts: lossParts)
            let rest = point.secondsPerStep - network.seconds(exchange, ranks: work.ranks, .tree)
            // Minimises sum (factor computeSeconds / t - rest / t)^2.
            let factor = Double(work.imagesOfBusiestRank) / point.coreBound / point.secondsPerStep
            top += factor * rest / point.secondsPerStep
            bottom += factor * factor
        }
        guard bottom > 0, top > 0 else { return nil }
        self.init(computeSeconds: top / bottom, network: network, parameters: parameters, lossParts: lossParts)
    }

    /// Seconds of a step.
    ///
    /// - Parameters:
    ///   - images: Images of the busiest rank.
    ///   - coreBound: See `ScalingPoint`.
    public func seconds(
        ranks: Int, images: Int, coreBound: Double = 1, pattern: StepExchange.Pattern = .tree
    ) -> Double {
        Double(images) * computeSeconds / coreBound + exchangeSeconds(ranks: ranks, images: images, pattern: pattern)
    }

    /// Seconds of a step's communication.
    public func exchangeSeconds(ranks: Int, images: Int, pattern: StepExchange.Pattern = .tree) -> Double {
        network.seconds(
            StepExchange(parameters: parameters, imagesPerRank: images, lossParts: lossParts), ranks: ranks, pattern)
    }

    /// Weak scaling on identical nodes with one rank each on its own cores.
    public func prediction(nodes: Int, images: Int) -> Prediction {
        func figures(_ pattern: StepExchange.Pattern) -> (efficiency: Double, communication: Double) {
            let whole = seconds(ranks: nodes, images: images, pattern: pattern)
            let exchange = exchangeSeconds(ranks: nodes, images: images, pattern: pattern)
            return (seconds(ranks: 1, images: images) / whole, exchange / whole)
        }
        let (tree, pairwise) = (figures(.tree), figures(.pairwise))
        return Prediction(
            nodes: nodes, efficiency: tree.efficiency, communication: tree.communication,
            pairwiseEfficiency: pairwise.efficiency, pairwiseCommunication: pairwise.communication)
    }

    /// The numbers of nodes to predict.
    public static let predictedNodes = (3...10).map { 1 << $0 }
}

extension ScalingModel {
    /// Decodes a model; see `StepExchange.init(from:)`.
    public init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        self.init(
            computeSeconds: try values.decode(Double.self, forKey: .computeSeconds),
            network: try values.decode(Network.self, forKey: .network),
            parameters: try values.decode(Int.self, forKey: .parameters),
            lossParts: try values.decodeIfPresent(Int.self, forKey: .lossParts) ?? 5)
    }
}
