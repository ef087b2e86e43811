import Foundation

/// The results of a scaling measurement, and their text.
public struct ScalingReport: Codable, Sendable, Equatable {
    /// The plan of the runs.
    public var plan: ScalingPlan
    /// The launcher with its options, excluding the number of ranks.
    public var launcher: String
    /// The measured points, relative to the smallest rank count.
    public var rows: [ScalingRow]
    /// The measured exchanges.
    public var exchanges: [ExchangeReport.Sample]
    /// Load average of this machine before the first run, caused by other programs; nil if the system does not report
    /// it.
    public var loadBefore: Double?
    /// The model fitted to them; nil if no two ranks exchanged data.
    public var model: ScalingModel?
    /// The network of the predictions: the measured one, or with values passed by the user.
    public var predictedNetwork: Network?
    /// The predictions; empty without a network.
    public var predictions: [ScalingModel.Prediction]

    /// Creates a report.
    ///
    /// - Parameters:
    ///   - parameters: Trainable parameters of the plan's model.
    ///   - latencyMicroseconds, gigabits: The predicted network, if it is not the measured one.
    public init(
        plan: ScalingPlan, launcher: String, points: [ScalingPoint], exchanges: [ExchangeReport.Sample],
        parameters: Int, loadBefore: Double? = nil, latencyMicroseconds: Double? = nil, gigabits: Double? = nil
    ) {
        (self.plan, self.launcher, self.exchanges, self.loadBefore) = (plan, launcher, exchanges, loadBefore)
        rows = [ScalingPlan.Mode.weak, .strong].flatMap { ScalingRow.rows($0, plan: plan, points: points) }
        let measured = Network.fit(exchanges)
        let given = latencyMicroseconds != nil && gigabits != nil
        // On one rank nothing is exchanged, so any network fits.
        let network = measured ?? (given ? Network(latency: 0, secondsPerByte: 0) : nil)
        let lossParts = exchanges.first?.exchange.lossParts ?? 0
        model = network.flatMap {
            ScalingModel(fitting: points, network: $0, parameters: parameters, lossParts: lossParts)
        }
        (predictedNetwork, predictions) = (network, [])
        predict(latencyMicroseconds: latencyMicroseconds, gigabits: gigabits)
    }

    /// Repeats the predictions from the same measurement.
    ///
    /// - Parameters:
    ///   - latencyMicroseconds, gigabits: The network, if it is not the measured one.
    public mutating func predict(latencyMicroseconds: Double?, gigabits: Double?) {
        guard var predicting = model else { return }
        predicting.network = predicting.network.replacing(
            latencyMicroseconds: latencyMicroseconds, gigabits: gigabits)
        predictedNetwork = predicting.network
        predictions = ScalingModel.predictedNodes.map { predicting.prediction(nodes: $0, images: plan.imagesPerRank) }
    }

    /// Reads a `scaling.json` written by `write(to:)`. Throws `ScalingError`.
    public init(opening path: String) throws(ScalingError) {
        guard let data = FileManager.default.contents(atPath: path),
            let report = try? JSONDecoder().decode(Self.self, from: data)
        else {
            throw ScalingError(
                .usage, "\(path) is not the result of a measurement",
                remedy: "pass a scaling.json written by kedge bench scaling --output")
        }
        self = report
    }

    /// The model's time over the measured time of a row; nil without a model.
    func modelOverMeasured(_ row: ScalingRow) -> Double? {
        let point = row.point
        return model.map {
            $0.seconds(
                ranks: point.work.ranks, images: point.work.imagesOfBusiestRank, coreBound: point.coreBound)
                / point.secondsPerStep
        }
    }

    /// The assumptions of the predictions.
    public var assumptions: [String] {
        [
            "All nodes are identical, with one rank each on its own cores: \(plan.threads) "
                + "thread\(plan.threads == 1 ? "" : "s"), and \(plan.imagesPerRank) "
                + "image\(plan.imagesPerRank == 1 ? "" : "s") per step, of \(plan.instances) instances.",
            "Every rank takes the same time: no stragglers, no harder images, no waiting for files.",
            predictedNetwork.map {
                "The network takes for each message \(Self.number($0.latency * 1e6)) us and "
                    + ($0.secondsPerByte > 0
                        ? "\(Self.number(8e-9 / $0.secondsPerByte)) Gbit/s" : "no measurable time per byte")
                    + (predictedNetwork == model?.network
                        ? ", as measured here." : ", with at least one value set by the user.")
                    + " Every rank has it to itself: no link is shared."
            } ?? "No network was measured or specified.",
            "\"tree\": each of the \(StepExchange.exchanges) exchanges of a step takes ceil(log2 N) messages. "
                + "\"pairwise\": the two that carry gradients and parameters take N - 1, as MPI libraries do for long "
                + "ones.",
            "Communication does not overlap with computing, as in the trainer. Logging and evaluation are ignored.",
        ]
    }

    /// A number with three significant digits.
    static func number(_ value: Double) -> String {
        let magnitude = abs(value)
        return fixed(value, magnitude >= 100 ? 0 : magnitude >= 10 ? 1 : magnitude >= 0.1 ? 2 : 4)
    }
}
