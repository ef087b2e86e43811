import Datasets
public import AdaptationMethods
import Adapters
public import ArgumentParser
import Benchmarking
import Collectives
import Foundation
import Kernels
public import Layers
import Machine
import ModelLoading
import Planning
import Recipes
import Runs
public import SegmentAnything
import Telemetry
import PlainText

extension BenchmarkSubject: ExpressibleByArgument {}
extension RecomputeLevel: ExpressibleByArgument {}
extension BaseModel: ExpressibleByArgument {}
extension ContinualStrategy: ExpressibleByArgument {}
extension LossForm: ExpressibleByArgument {}
extension NodeSharedMemory.Kind: ExpressibleByArgument {}

/// `kedge bench`; without a subcommand, `bench speed`.
struct BenchCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench",
        abstract:
            "Measures the speed of kernels, encoder, decoder, a step or a router, or how speed scales with ranks.",
        discussion: """
            `kedge bench kernels|encoder|decoder|step|router` measures on this machine; `kedge help bench speed` lists the \
            options. `kedge bench scaling` runs adaptations on several rank counts.
            """,
        subcommands: [SpeedCommand.self, ScalingCommand.self, ExchangeCommand.self],
        defaultSubcommand: SpeedCommand.self)
}

/// `kedge bench kernels|encoder|decoder|step|router`.
struct SpeedCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "speed",
        abstract: "Measures a model's speed relative to the machine's matrix product rate.",
        discussion: """
            Every round measures cblas_sgemm on the same threads first, so the shares of the ceiling hold on a noisy \
            machine. Encoder shares count matrix products and convolutions, two operations per multiply-add; step \
            shares count only those of the encoder passes. Ratios compare a piece with another of the same round.
            """)

    @Argument(help: "What to measure.")
    var subject: BenchmarkSubject

    @Option(help: "The model.")
    var model = ModelCatalog.standard

    @Option(help: "A weight file; without it the weights are random, which does not affect timing.")
    var weights: String?

    @Option(help: "Compute threads; 0 uses all cores available to this process.")
    var threads = 0

    @Option(help: "Box prompts per image.")
    var instances = 8

    @Option(help: "Instances per mask decoder pass.")
    var decoderChunk = StepContext.defaultDecoderChunk

    @Option(help: "What the encoder recomputes in the backward pass.")
    var recompute = RecomputeLevel.none

    @OptionGroup var method: MethodArguments

    @Option(help: "Variant of the losses, for methods that have both.")
    var lossForm: LossForm?

    @Option(
        help: ArgumentHelp(
            "A step's inputs instead of --instances: safetensors with weak, strong, boxes and the trainable matrices, from compare.py."
        ))
    var `case`: String?

    @Option(help: "With --case: output file for the step's losses and gradients.")
    var results: String?

    @Option(help: "Measured rounds, after one warm-up round.")
    var rounds = 5

    @Flag(help: "Skip the warm-up round, for models whose step takes minutes.")
    var cold = false

    @Flag(help: "Print a JSON object instead of the table.")
    var json = false

    func validate() throws {
        guard rounds > 0 else { throw ValidationError("--rounds must be 1 or more") }
        guard instances > 0 else { throw ValidationError("--instances must be 1 or more") }
        guard results == nil || (`case` != nil && subject == .step) else {
            throw ValidationError("--results requires the subject step and --case")
        }
        guard `case` == nil || subject == .step else { throw ValidationError("--case requires the subject step") }
        guard decoderChunk > 0 else { throw ValidationError("--decoder-chunk must be 1 or more") }
        guard threads >= 0 else { throw ValidationError("--threads must be 0 or more") }
    }

    func run() throws {
        Startup.onAllRanks { communicator in
            guard communicator.isRoot else { return .done }
            let workspace = try Workspace.start(threads: threads > 0 ? threads : CoreAffinity.usableThreads())
            let (configuration, source) = try loadWeights()
            var request = StepRequest(
                configuration, try method.chosen(for: model, lossForm.map { ["method.lossForm=\($0.rawValue)"] } ?? []))
            guard request.method.trains || subject != .step else {
                throw ValidationError("--method \(method.name) does not train, so it has no step to measure")
            }
            (request.decoderChunk, request.recompute, request.instances) = (decoderChunk, recompute, instances)
            request.adapters = AdapterOptions(seed: 1)
            try InputProtection.check(
                outputs: results.map { [$0] } ?? [], files: [`case`, weights].compactMap { $0 })
            let given = try `case`.map {
                try StepCase(opening: $0, configuration: configuration, weights: source, method: request.method)
            }
            if let given {
                (request.adapters, request.instances) = (given.options, given.example.prompts.count)
                if let results { try given.write(to: results, request, in: workspace) }
            }
            let adapted =
                try given?.adapted
                ?? AdaptedModel(
                    configuration, source,
                    Trainables(request.method.trainables, in: ModelDescription(configuration), request.adapters))
            var plan = StepPlan.Request(
                configuration, subject == .step ? request.method : try MemoryCheck.evaluation())
            (plan.step.instances, plan.step.decoderChunk, plan.step.recompute) = (
                request.instances, decoderChunk, recompute
            )
            plan.threads = workspace.pool.threads
            try MemoryCheck.check(try StepPlan(plan), host: communicator.hostName)
            let benchmark = ModelBenchmark(
                adapted: adapted,
                example: try given?.example
                    ?? ModelBenchmark.example(adapted.model, instances: instances, needs: request.method.needs),
                request: request,
                allGlobal: subject == .router
                    ? configuration.allGlobal.map { SegmentAnythingModel($0, source) } : nil,
                workspace: workspace)
            let (ceiling, figures) = try Benchmark(workspace: workspace, rounds: rounds, warmsUp: !cold).run(
                try benchmark.pieces(subject))
            let report = Benchmark.Report(
                subject: subject.rawValue, model: self.model.rawValue, threads: workspace.pool.threads,
                openBLASCore: BLASEnvironment.coreName, ceilingGigaflops: ceiling * 1e-9, rounds: rounds,
                peakBytes: ProcessMemory.peakResidentBytes(), figures: figures)
            print(json ? try Self.json(report) : report.text)
            return .done
        }
    }

    private func loadWeights() throws -> (SegmentAnythingConfiguration, any ParameterSource) {
        guard let weights else { return try LoadedModel.randomWeights(model, seed: 1) }
        var settings = ModelSettings()
        (settings.kind, settings.weights) = (model, weights)
        let loaded = try LoadedModel(settings)
        return (loaded.model.configuration, loaded.parameters)
    }

    private static func json(_ report: Benchmark.Report) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(report), as: UTF8.self).jsonWithoutMarks
    }
}
