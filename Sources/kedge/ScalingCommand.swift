public import ArgumentParser
public import Benchmarking
import Datasets
import Collectives
import Foundation
import ModelLoading
import Runs
import SegmentAnything
import Telemetry
import PlainText

extension ScalingPlan.Mode: ExpressibleByArgument {}

/// `kedge bench scaling`.
struct ScalingCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "scaling",
        abstract: "Measures how speed scales with ranks, and predicts it for many nodes.",
        discussion: """
            Start it alone, without mpirun: it runs real adaptations on synthetic images for every rank count in turn, \
            reads their logs, times a step's communication, and fits a model of the step time. --mode weak \
            keeps the images per rank constant, strong keeps the total of the largest rank count. The runs' files are \
            removed; --output keeps the result.
            """)

    @Option(help: "Rank counts to measure.")
    var ranks = "1,2"

    @Option(help: "The model.")
    var model = ModelCatalog.standard

    @Option(help: "The weight file. Defaults to where scripts/fetch-weights puts it.")
    var weights: String?

    @Option(help: "Compute threads per rank.")
    var threads = 1

    @Option(help: "Images per rank and step; with --mode strong, at the largest rank count.")
    var imagesPerRank = 1

    @Option(help: "Instances per image, at most 8.")
    var instances = 8

    @Option(help: "Measured steps per run.")
    var steps = 4

    @Option(help: "Warm-up steps per run.")
    var warmUp = 1

    @Option(help: "Repetitions of every case, interleaved.")
    var rounds = 2

    @Option(help: "More ranks for more images (weak), for the same images (strong), or both.")
    var mode = ScalingPlan.Mode.weak

    @Option(help: "Host list in mpirun's form; ranks are placed round-robin. Without it, this machine.")
    var hostfile: String?

    @Option(
        help: ArgumentHelp(
            "Launcher to use instead of mpirun, with its options; -np N -- COMMAND is appended.",
            valueName: "command ..."))
    var launcher: String?

    @Option(help: "A folder shared by all nodes for the runs' files. Without it, the temporary folder.")
    var scratch: String?

    @Option(help: "Predict for a network with this latency per message, in microseconds, instead of the measured one.")
    var networkLatencyUs: Double?

    @Option(help: "Predict for a network with this bandwidth, in Gbit/s, instead of the measured one.")
    var networkGbit: Double?

    @Option(
        help: ArgumentHelp(
            "Skip measuring; predict from the scaling.json of an earlier measurement.", valueName: "file"))
    var from: String?

    @Option(help: "Output folder for scaling.txt, scaling.svg and scaling.json.")
    var output: String?

    @Flag(help: "Print a JSON object instead of the tables.")
    var json = false

    func validate() throws {
        for (name, value) in [("latency-us", networkLatencyUs), ("gbit", networkGbit)] {
            if let value, !(value > 0) { throw ValidationError("--network-\(name) must be above 0") }
        }
    }

    func run() throws {
        StopSignals.watch([SIGTERM, SIGHUP, SIGPIPE])
        Startup.outsideRanks {
            try InputProtection.check(
                outputs: output.map { folder in ScalingReport.fileNames.map { folder + "/" + $0 } } ?? [],
                files: from.map { [$0] } ?? [])
            let report = try from.map { try again($0) } ?? measure()
            if let output { try report.write(to: output) }
            print(json ? try report.json().jsonWithoutMarks : "\n" + report.text)
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
            // A closed pipe is reported by SIGPIPE.
            progress: { if !json { try? FileHandle.standardOutput.write(contentsOf: Data(($0 + "\n").utf8)) } },
            isStopRequested: { StopSignals.isStopRequested })
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

/// `kedge bench exchange`, started on ranks by `kedge bench scaling`.
struct ExchangeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "exchange", abstract: "Times a step's communication between ranks; started by bench scaling.",
        shouldDisplay: false)

    @Option(help: "Number of trainable parameters; repeatable.")
    var parameters: [Int] = [150_000, 1_000_000]

    @Option(help: "Images per rank.")
    var imagesPerRank = 1

    @Option(help: "Parts of the method's loss, exchanged with every image.")
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
            if communicator.isRoot { print(try report.json().jsonWithoutMarks) }
            return .done
        }
    }
}
