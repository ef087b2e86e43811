import AdaptationMethods
import Adapters
import ArgumentParser
import Collectives
import Foundation
import Kernels
import Layers
import Machine
import ModelLoading
import Planning
import Runs
import SegmentAnything
import Telemetry
import PlainText

/// `kedge plan`.
struct PlanCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "plan",
        abstract: "Reports the memory, operations and time of an adaptation step before a run.",
        discussion: """
            Rehearses the step's code without computing and counts its tensors; measures this machine's matrix product \
            rate to predict time. `kedge adapt` plans memory the same way before it starts and refuses what cannot fit.
            """)

    @Option(help: "The model.")
    var model = ModelCatalog.standard

    @OptionGroup var method: MethodArguments

    @Option(help: "Instances per image.")
    var instances = 40

    @Option(help: "Points per instance; without it, prompts are boxes.")
    var points: Int?

    @Option(help: "Instances per mask decoder pass.")
    var decoderChunk = StepContext.defaultDecoderChunk

    @Option(help: "What the encoder recomputes in the backward pass.")
    var recompute = RecomputeLevel.none

    @Option(help: "Rank of the LoRA matrices.")
    var loraRank = 4

    @Option(
        help: ArgumentHelp(
            "What a run over domains in stages keeps: \(ContinualStrategy.known.map(\.name).joined(separator: ", ")).",
            valueName: "strategy"))
    var strategy = ContinualStrategy.none

    @Option(help: "Domains of such a run, and of a pool that it continues.")
    var domains = 1

    @Option(help: "Samples each rank prepares in advance.")
    var prefetchDepth = 4

    @Option(help: "Ranks per node.")
    var ranksPerNode = 1

    @Option(help: "One copy of the frozen weights per node, or a private one per rank.")
    var baseMemory = NodeSharedMemory.Kind.window

    @Option(help: "Compute threads per rank; 0 uses its share of the cores available to this process.")
    var threads = 0

    @Flag(help: "Print a JSON object instead of the table.")
    var json = false

    func validate() throws {
        for (name, value) in [
            ("--instances", instances), ("--points", points ?? 1), ("--decoder-chunk", decoderChunk),
            ("--lora-rank", loraRank), ("--domains", domains), ("--ranks-per-node", ranksPerNode),
            ("--prefetch-depth", prefetchDepth),
        ] where value < 1 {
            throw ValidationError("\(name) must be 1 or more")
        }
        guard threads >= 0 else { throw ValidationError("--threads must be 0 or more") }
    }

    /// The output of `--json`.
    private struct Answer: Encodable {
        var model: String
        var ranksPerNode: Int
        var threads: Int
        var matrixGigaflops: Double
        var availableBytes: Int?
        var levels: [Level]

        struct Level: Encodable {
            var recompute: RecomputeLevel
            var parts: [StepPlan.Part]
            var bytesPerRank: Int
            var bytesPerNode: Int
            /// What a rank maps, which is more than it uses; for limits such as `ulimit -v`.
            var addressSpacePerRank: Int
            var operations: Double
            var secondsPerImage: Double
            var fits: Bool?
        }
    }

    func run() throws {
        Startup.onAllRanks { communicator in
            guard communicator.isRoot else { return .done }
            let answer = try plan()
            print(json ? try Self.encoded(answer) : text(answer))
            return .done
        }
    }

    /// Memory of a thread that multiplies matrices: OpenBLAS's buffer, operands and result.
    private static let measurementBytes = 18 << 20

    private func plan() throws -> Answer {
        var request = StepPlan.Request(try LoadedModel.configuration(model), try method.chosen(for: model))
        request.threads = threads > 0 ? threads : max(1, CoreAffinity.usableThreads() / ranksPerNode)
        (request.step.instances, request.step.points) = (instances, points)
        (request.step.adapters.rank, request.prefetchDepth) = (loraRank, prefetchDepth)
        request.step.decoderChunk = decoderChunk
        request.isBaseShared = baseMemory == .window
        request.keptVectors = strategy.keptVectors(domains: domains)
        request.step.distils = strategy.protection == .distillation && request.step.method.distils
        let memory = NodeMemory.now()
        // A process that exceeds a control group's limit is killed without a word.
        let needed = request.threads * Self.measurementBytes
        if let memory, needed > memory.available {
            throw RunError(
                .resources,
                "the measurement of matrix products needs \(needed >> 20) MiB for \(request.threads) threads, "
                    + "\(memory.available >> 20) MiB are free according to \(memory.source)",
                remedy: "lower --threads, or plan in a job with more memory")
        }
        let rate = MatrixRate.measure(pool: try Workspace.start(threads: request.threads).pool)
        let levels = try RecomputeLevel.allCases.map { level -> Answer.Level in
            request.step.recompute = level
            let plan = try StepPlan(request)
            let node = plan.bytes(ranks: ranksPerNode)
            return Answer.Level(
                recompute: level, parts: plan.parts, bytesPerRank: plan.bytesPerRank, bytesPerNode: node,
                addressSpacePerRank: MemoryCheck.addressSpace(plan, threads: request.threads),
                operations: plan.operations,
                secondsPerImage: plan.seconds(rate: rate, configuration: request.step.configuration),
                fits: memory.map { node <= $0.available })
        }
        return Answer(
            model: model.rawValue, ranksPerNode: ranksPerNode, threads: request.threads,
            matrixGigaflops: rate * 1e-9, availableBytes: memory?.available, levels: levels)
    }

    private func text(_ answer: Answer) -> String {
        let chosen = answer.levels.first { $0.recompute == recompute } ?? answer.levels[0]
        var lines = [
            "\(answer.model), \(method.name), \(instances) instance\(instances == 1 ? "" : "s"), recompute \(recompute.rawValue), "
                + "\(ranksPerNode) rank\(ranksPerNode == 1 ? "" : "s") on a node, \(answer.threads) "
                + "thread\(answer.threads == 1 ? "" : "s") each"
        ]
        lines += chosen.parts.map { Self.row($0.name, Self.mebibytes($0.bytes)) }
        lines.append(Self.row("a rank", Self.mebibytes(chosen.bytesPerRank)))
        lines.append(Self.row("a node", Self.mebibytes(chosen.bytesPerNode)))
        lines.append(Self.row("address space of a rank", Self.mebibytes(chosen.addressSpacePerRank)))
        lines.append(
            chosen.operations == 0
                ? "\(method.name) does not train: this is the evaluation of an image"
                : String(
                    format: "%.2f TFLOP a step; %.1f s an image expected at %.0f GFLOP/s of matrix products",
                    chosen.operations * 1e-12, chosen.secondsPerImage, answer.matrixGigaflops))
        lines.append("")
        lines.append("recompute      a rank       a node    s/image" + (answer.availableBytes == nil ? "" : "   here"))
        for level in answer.levels {
            let fits = level.fits.map { $0 ? "   fits" : "   too large" } ?? ""
            lines.append(
                level.recompute.rawValue.padding(toLength: 9, withPad: " ", startingAt: 0)
                    + Self.right(Self.mebibytes(level.bytesPerRank), 12)
                    + Self.right(Self.mebibytes(level.bytesPerNode), 13)
                    + Self.right(String(format: "%.1f", level.secondsPerImage), 11) + fits)
        }
        if let available = answer.availableBytes { lines.append("free on this node: \(Self.mebibytes(available))") }
        return lines.joined(separator: "\n")
    }

    private static func row(_ name: String, _ value: String) -> String {
        "  " + name.padding(toLength: 30, withPad: " ", startingAt: 0) + right(value, 12)
    }

    private static func right(_ text: String, _ width: Int) -> String {
        String(repeating: " ", count: max(1, width - text.count)) + text
    }

    private static func mebibytes(_ bytes: Int) -> String { "\((bytes + (1 << 19)) >> 20) MiB" }

    private static func encoded(_ answer: Answer) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(answer), as: UTF8.self).jsonWithoutMarks
    }
}
