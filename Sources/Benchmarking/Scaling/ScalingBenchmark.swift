import AdaptationMethods
import Adapters
import Collectives
import Datasets
import DataTools
import Foundation
import Layers
import ModelLoading
import Runs
import SegmentAnything

/// Measures how the speed of adaptation scales with ranks, with real runs that it starts.
///
/// The calling process must not be part of an MPI run: it starts processes, which MPI forbids.
public struct ScalingBenchmark {
    /// The runs to measure.
    public var plan: ScalingPlan
    /// Starts the ranks.
    public var launcher: RankLauncher
    /// The absolute path of the program that a rank runs.
    public var executable: String
    /// A folder shared by all nodes, for data, runs and logs of the measurement.
    public var scratch: String
    /// Message latency of the predicted network in microseconds; nil for the measured one.
    public var latencyMicroseconds: Double?
    /// Bandwidth of the predicted network in 10^9 bits per second; nil for the measured one.
    public var gigabits: Double?

    /// Creates a measurement.
    public init(plan: ScalingPlan, launcher: RankLauncher, executable: String, scratch: String) {
        (self.plan, self.launcher, self.executable, self.scratch) = (plan, launcher, executable, scratch)
    }

    /// Measured exchanges per size.
    public static let repetitions = 40

    /// Runs all cases, fits the model and predicts.
    ///
    /// - Parameters:
    ///   - progress: Receives a line before every run.
    ///   - isStopRequested: True once a stop was requested.
    ///
    /// In every case, no process or file remains. Throws `ScalingError`, and `DatasetError` if the images cannot be
    /// written.
    public func run(progress: (String) -> Void, isStopRequested: () -> Bool) throws -> ScalingReport {
        try plan.validate()
        if Launch.detect().launcher != .none {
            throw ScalingError(
                .usage, "this process is a rank started by a launcher, but must start ranks itself",
                remedy: "start `kedge bench scaling` alone, without mpirun or srun")
        }
        _ = try launcher.executable()
        let load = Self.load()
        let parameters = try trainableNumbers()
        let folder = try makeFolder()
        defer { try? FileManager.default.removeItem(atPath: folder) }
        // Severity 0: speed does not depend on the images' content.
        try SyntheticCells.write(to: folder + "/data", count: plan.images, side: 256, seed: 1, severity: 0)

        var exchanges: [ExchangeReport] = []
        for count in plan.ranks {
            progress("exchange on \(Self.rankCount(count))")
            exchanges.append(try measureExchange(ranks: count, parameters: parameters, folder, isStopRequested))
        }
        var logs = plan.cases.map { _ in [AdaptationLog]() }
        var residences = plan.cases.map { _ in [Int?]() }
        for round in 1...plan.rounds {
            for (index, work) in plan.cases.enumerated() {
                progress(
                    "round \(round) of \(plan.rounds): \(Self.rankCount(work.ranks)), "
                        + "\(work.globalBatch) image\(work.globalBatch == 1 ? "" : "s") a step")
                let name = "scaling-\(round)-\(index)"
                let (log, bytes) = try adapt(work, name: name, folder, isStopRequested)
                logs[index].append(log)
                residences[index].append(bytes)
            }
        }
        let points = plan.cases.indices.map { index in
            let machines = exchanges[plan.ranks.firstIndex(of: plan.cases[index].ranks) ?? 0].machines
            return ScalingPoint(
                plan.cases[index], logs: logs[index], warmUp: plan.warmUp, bytesPerNode: residences[index],
                coreBound: machines.map { $0.bound(threads: plan.threads) }.min() ?? 1)
        }
        return ScalingReport(
            plan: plan, launcher: launcher.words.joined(separator: " "), points: points,
            exchanges: exchanges.flatMap(\.samples), parameters: parameters, loadBefore: load,
            latencyMicroseconds: latencyMicroseconds, gigabits: gigabits)
    }

    private static func rankCount(_ ranks: Int) -> String { "\(ranks) rank\(ranks == 1 ? "" : "s")" }

    /// The load average of this machine over the last minute; nil if the system does not report it.
    private static func load() -> Double? {
        let text = try? String(contentsOfFile: "/proc/loadavg", encoding: .utf8)
        return text?.split(separator: " ").first.flatMap { Double($0) }
    }

    /// Number of parameters that the default recipe's method trains in the model.
    private func trainableNumbers() throws -> Int {
        let recipe = Recipe()
        let description = ModelDescription(try LoadedModel.configuration(plan.model))
        return try Trainables(recipe.method.method.trainables, in: description, AdapterOptions(rank: recipe.lora.rank))
            .layout.count
    }

    /// Number of loss parts of the default recipe's method, which the runs use.
    private func lossParts() -> Int { Recipe().method.method.lossNames.count }

    private func makeFolder() throws -> String {
        var name = Array((scratch + "/kedge-scaling-XXXXXX").utf8CString)
        guard mkdtemp(&name) != nil else {
            throw ScalingError(
                .cannotWrite, "cannot create a folder in \(scratch): \(String(cString: strerror(errno)))",
                remedy: "specify a folder shared by all nodes with --scratch")
        }
        return String(decoding: name.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    private func measureExchange(
        ranks: Int, parameters: Int, _ folder: String, _ isStopRequested: () -> Bool
    ) throws -> ExchangeReport {
        // The smallest size yields the time per message, the largest the time per byte; the model's own size is in
        // between.
        let sizes = [16, parameters, max(8 * parameters, 1_000_000)]
        let output = try launcher.run(
            [
                executable, "bench", "exchange", "--images-per-rank", "\(plan.imagesPerRank)",
                "--loss-parts", "\(lossParts())",
            ] + sizes.flatMap { ["--parameters", "\($0)"] },
            ranks: ranks, what: "the exchange on \(Self.rankCount(ranks))", folder: folder,
            isStopRequested: isStopRequested)
        guard let line = output.split(separator: "\n").last(where: { $0.hasPrefix("{") }),
            let report = try? JSONDecoder().decode(ExchangeReport.self, from: Data(line.utf8)),
            report.samples.allSatisfy({ $0.ranks == ranks })
        else {
            throw ScalingError(
                .malformedLog, "the exchange on \(Self.rankCount(ranks)) did not report a measurement for as many",
                remedy: "pass the mpirun of the Open MPI that kedge was built with to --launcher")
        }
        return report
    }

    private func adapt(
        _ work: ScalingPlan.Case, name: String, _ folder: String, _ isStopRequested: () -> Bool
    ) throws -> (log: AdaptationLog, bytes: Int?) {
        let runs = folder + "/runs"
        var residence = NodeResidence(mark: "run.folder=\(runs)")
        _ = try launcher.run(
            [executable] + plan.arguments(of: work, data: folder + "/data", runs: runs, name: name),
            ranks: work.ranks, what: "the adaptation on \(Self.rankCount(work.ranks))",
            folder: folder, whileRunning: { residence.sample() }, isStopRequested: isStopRequested)
        let path = "\(runs)/\(name)/log.jsonl"
        let text = FileManager.default.contents(atPath: path).map { String(decoding: $0, as: UTF8.self) }
        let log = try AdaptationLog(text: text ?? "", path: path)
        guard log.ranks == work.ranks, log.steps.count == plan.warmUp + plan.steps else {
            throw ScalingError(
                .malformedLog,
                "\(path) reports \(log.ranks) ranks and \(log.steps.count) steps, not those that were started",
                remedy: "pass the mpirun of the Open MPI that kedge was built with to --launcher")
        }
        return (log, residence.largest)
    }
}
