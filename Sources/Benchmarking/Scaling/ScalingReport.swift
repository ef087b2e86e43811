import Foundation

/// All that a measurement of scaling found, with the text that people read.
public struct ScalingReport: Codable, Sendable, Equatable {
    /// What was run.
    public var plan: ScalingPlan
    /// The launcher's words before the number of ranks.
    public var launcher: String
    /// The measured points beside the smallest number of ranks.
    public var rows: [ScalingRow]
    /// The measured exchanges.
    public var exchanges: [ExchangeReport.Sample]
    /// Load average of this machine before the first run: what other programs take; nil where the system does not tell.
    public var loadBefore: Double?
    /// The model fitted to them; nil where no two ranks exchanged anything.
    public var model: ScalingModel?
    /// The network that predictions are for: the measured one, or with the numbers that were given.
    public var predictedNetwork: Network?
    /// The predictions; empty without a network.
    public var predictions: [ScalingModel.Prediction]

    /// Puts a report together.
    ///
    /// - Parameters:
    ///   - parameters: Trainable numbers of the plan's model.
    ///   - latencyMicroseconds, gigabits: The network of the predictions, where it is not the measured one.
    public init(
        plan: ScalingPlan, launcher: String, points: [ScalingPoint], exchanges: [ExchangeReport.Sample],
        parameters: Int, loadBefore: Double? = nil, latencyMicroseconds: Double? = nil, gigabits: Double? = nil
    ) {
        (self.plan, self.launcher, self.exchanges, self.loadBefore) = (plan, launcher, exchanges, loadBefore)
        rows = [ScalingPlan.Mode.weak, .strong].flatMap { ScalingRow.rows($0, plan: plan, points: points) }
        let measured = Network.fit(exchanges)
        let given = latencyMicroseconds != nil && gigabits != nil
        // On one rank nothing was exchanged, so any network explains that.
        let network = measured ?? (given ? Network(latency: 0, secondsPerByte: 0) : nil)
        let lossParts = exchanges.first?.exchange.lossParts ?? 0
        model = network.flatMap {
            ScalingModel(fitting: points, network: $0, parameters: parameters, lossParts: lossParts)
        }
        (predictedNetwork, predictions) = (network, [])
        predict(latencyMicroseconds: latencyMicroseconds, gigabits: gigabits)
    }

    /// Predicts anew from the same measurement.
    ///
    /// - Parameters:
    ///   - latencyMicroseconds, gigabits: The network, where it is not the measured one.
    public mutating func predict(latencyMicroseconds: Double?, gigabits: Double?) {
        guard var predicting = model else { return }
        predicting.network = predicting.network.replacing(
            latencyMicroseconds: latencyMicroseconds, gigabits: gigabits)
        predictedNetwork = predicting.network
        predictions = ScalingModel.predictedNodes.map { predicting.prediction(nodes: $0, images: plan.imagesPerRank) }
    }

    /// Reads what `write(to:)` wrote as `scaling.json`. Throws `ScalingError`.
    public init(opening path: String) throws(ScalingError) {
        guard let data = FileManager.default.contents(atPath: path),
            let report = try? JSONDecoder().decode(Self.self, from: data)
        else {
            throw ScalingError(
                .usage, "\(path) is no result of an earlier measurement",
                remedy: "name the scaling.json that kedge bench scaling --output wrote")
        }
        self = report
    }

    /// The line of the model beside a row, over its measured time; nil without a model.
    func modelOverMeasured(_ row: ScalingRow) -> Double? {
        let point = row.point
        return model.map {
            $0.seconds(
                ranks: point.work.ranks, images: point.work.imagesOfBusiestRank, coreBound: point.coreBound)
                / point.secondsPerStep
        }
    }

    /// What the predictions take for granted, in plain words.
    public var assumptions: [String] {
        [
            "All nodes are alike, with one rank each on cores of its own: \(plan.threads) "
                + "thread\(plan.threads == 1 ? "" : "s"), and \(plan.imagesPerRank) "
                + "image\(plan.imagesPerRank == 1 ? "" : "s") a step, of \(plan.instances) instances.",
            "Every rank takes equally long: no stragglers, no image harder than another, no waiting for files.",
            predictedNetwork.map {
                "The network gives each message \(Self.number($0.latency * 1e6)) us and "
                    + ($0.secondsPerByte > 0
                        ? "\(Self.number(8e-9 / $0.secondsPerByte)) Gbit/s" : "a byte no time that could be measured")
                    + (predictedNetwork == model?.network
                        ? ", as measured here." : ", of which at least one number was given.")
                    + " All ranks have it at once: nobody shares a link."
            } ?? "No network was measured or given.",
            "\"tree\": each of the \(StepExchange.exchanges) exchanges of a step takes ceil(log2 N) messages. "
                + "\"pairwise\": the two that carry gradients and parameters take N - 1, as MPI libraries do for long "
                + "ones.",
            "Exchanges do not overlap with computing, as in the trainer. Logging and evaluation are left out.",
        ]
    }

    /// A number with three significant digits.
    static func number(_ value: Double) -> String {
        let magnitude = abs(value)
        return fixed(value, magnitude >= 100 ? 0 : magnitude >= 10 ? 1 : magnitude >= 0.1 ? 2 : 4)
    }
}
