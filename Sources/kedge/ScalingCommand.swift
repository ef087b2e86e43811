import ModelLoading
public import ArgumentParser
import Collectives
import Foundation
public import Benchmarking
import SegmentAnything
import Telemetry
import Runs

extension ScalingPlan.Mode: ExpressibleByArgument {}

/// `kedge bench scaling`.
struct ScalingCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "scaling",
        abstract: "Measures how speed grows with ranks, and predicts it for many nodes.",
        discussion: """
            Started alone, without mpirun: it starts real adaptations of synthetic images on every number of ranks, \
            in turn, reads their logs, measures what a step exchanges, and fits a model of a step's time. --mode weak \
            gives every rank its images, strong shares the images of the most ranks among fewer. Nothing of the runs \
            is left; --output keeps the result.
            """)

    @Option(help: "Numbers of ranks.")
    var ranks = "1,2"

    @Option(help: "The model.")
    var model = ModelCatalog.standard

    @Option(help: "The weight file. Without it, where scripts/fetch-weights puts it.")
    var weights: String?

    @Option(help: "Compute threads of a rank.")
    var threads = 1

    @Option(help: "Images of a step on each rank; with --mode strong on each of the most ranks.")
    var imagesPerRank = 1

    @Option(help: "Instances in every image, at most 8.")
    var instances = 8

    @Option(help: "Measured steps of a run.")
    var steps = 4

    @Option(help: "Steps of a run before them.")
    var warmUp = 1

    @Option(help: "How often every case is run; they take turns.")
    var rounds = 2

    @Option(help: "More ranks for more images (weak), for the same images (strong), or both.")
    var mode = ScalingPlan.Mode.weak

    @Option(help: "The nodes, as mpirun reads them; ranks are dealt to them in turn. Without it, this machine.")
    var hostfile: String?

    @Option(
        help: ArgumentHelp(
            "What starts ranks instead of mpirun, with its options; it is given -np N -- COMMAND.",
            valueName: "command ..."))
    var launcher: String?

    @Option(help: "A folder that all nodes see, for what the runs read and write. Without it, the temporary folder.")
    var scratch: String?

    @Option(help: "Predict for a network of so many microseconds a message, not the measured one.")
    var networkLatencyUs: Double?

    @Option(help: "Predict for a network of so many Gbit/s, not the measured one.")
    var networkGbit: Double?

    @Option(
        help: ArgumentHelp(
            "Measure nothing: predict anew from the scaling.json of an earlier measurement.", valueName: "file"))
    var from: String?

    @Option(help: "A folder for scaling.txt, scaling.svg and scaling.json.")
    var output: String?

    @Flag(help: "Print one JSON object instead of the tables.")
    var json = false

    func validate() throws {
        for (name, value) in [("latency-us", networkLatencyUs), ("gbit", networkGbit)] {
            if let value, !(value > 0) { throw ValidationError("--network-\(name) must be above 0") }
        }
    }

    func run() throws {
        Startup.watchSignals([SIGHUP, SIGPIPE])
        Startup.outsideRanks {
            let report = try from.map { try again($0) } ?? measure()
            if let output { try report.write(to: output) }
            print(json ? try report.json() : "\n" + report.text)
            return .done
        }
    }

    private func again(_ path: String) throws -> ScalingReport {
        var report = try ScalingReport(opening: path)
        report.predict(latencyMicroseconds: networkLatencyUs, gigabits: networkGbit)
        return report
    }

    private func measure() throws -> ScalingReport {
        try benchmark().run(
            // A reader that has gone is told by SIGPIPE.
            progress: { if !json { try? FileHandle.standardOutput.write(contentsOf: Data(($0 + "\n").utf8)) } },
            isStopRequested: { Startup.isStopRequested })
    }

    private func benchmark() throws -> ScalingBenchmark {
        var plan = try ScalingPlan(ranks: ranks)
        (plan.model, plan.threads, plan.mode) = (model, threads, mode)
        (plan.imagesPerRank, plan.instances) = (imagesPerRank, instances)
        (plan.steps, plan.warmUp, plan.rounds) = (steps, warmUp, rounds)
        plan.weights = weights.map { URL(fileURLWithPath: $0).path } ?? ""
        var benchmark = ScalingBenchmark(
            plan: plan, launcher: try RankLauncher(command: launcher, hostfile: hostfile),
            executable: Startup.executable,
            scratch: scratch.map { URL(fileURLWithPath: $0).path } ?? Recipe().node.folderForTemporaryFiles)
        (benchmark.latencyMicroseconds, benchmark.gigabits) = (networkLatencyUs, networkGbit)
        return benchmark
    }
}

/// `kedge bench exchange`, which `kedge bench scaling` starts on ranks.
struct ExchangeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "exchange", abstract: "Times what the ranks exchange in a step; started by bench scaling.",
        shouldDisplay: false)

    @Option(help: "Trainable numbers; repeatable.")
    var parameters: [Int] = [150_000, 1_000_000]

    @Option(help: "Images of a rank.")
    var imagesPerRank = 1

    @Option(help: "Parts of the method's loss, which travel with every image.")
    var lossParts = 0

    func validate() throws {
        guard imagesPerRank > 0, parameters.allSatisfy({ $0 > 0 }) else {
            throw ValidationError("--parameters and --images-per-rank must be 1 or more")
        }
        guard lossParts >= 0 else { throw ValidationError("--loss-parts must be 0 or more") }
    }

    func run() throws {
        Startup.onAllRanks { communicator in
            let report = try ExchangeReport.measure(
                parameters.map {
                    StepExchange(parameters: $0, imagesPerRank: imagesPerRank, lossParts: lossParts)
                },
                repetitions: ScalingBenchmark.repetitions, communicator: communicator)
            if communicator.isRoot { print(try report.json()) }
            return .done
        }
    }
}
