package import AdaptationMethods
import Adapters
package import Collectives
import Datasets
import Foundation
import Kernels
import Layers
package import Machine
package import ModelLoading
package import Planning
package import SegmentAnything
package import Telemetry
import Training

/// Compares the memory a run needs with the memory free on its nodes, before the first step. Collective.
///
/// The first rank of each node rehearses a step with the recipe's largest number of instances and reads the node's free
/// memory; all ranks reach the same verdict. Weights are already loaded and not counted again.
package struct MemoryCheck {
    let recipe: Recipe
    let configuration: SegmentAnythingConfiguration
    let threads: Int
    /// The largest number of instances in an image.
    let mostInstances: Int
    /// Domains of the run and of a pool that it continues.
    var domains = 1
    /// The method whose step is planned; one that does not train stands for an evaluation.
    let method: any AdaptationMethod
    /// Measures a node's free memory.
    let free: @Sendable () -> NodeMemory?
    /// Reads the limit of this process.
    let limit: @Sendable () -> ProcessLimit?

    package init(
        recipe: Recipe, configuration: SegmentAnythingConfiguration, threads: Int,
        mostInstances: Int, method: (any AdaptationMethod)? = nil,
        free: @escaping @Sendable () -> NodeMemory? = { NodeMemory.now() },
        limit: @escaping @Sendable () -> ProcessLimit? = { ProcessLimit.tightest() }
    ) {
        (self.recipe, self.configuration, self.threads) = (recipe, configuration, threads)
        (self.mostInstances, self.free, self.limit) = (mostInstances, free, limit)
        self.method = method ?? recipe.adaptationMethod
    }

    /// The result of the check.
    package struct Outcome: Sendable {
        /// The plan, for the log.
        package let fact: MemoryFact
        /// On the first rank of a node, bytes that its ranks will still allocate; 0 on others.
        package let bytesToCome: Int
    }

    /// Throws `RunError` of kind `resources` on all ranks if a node cannot hold its ranks.
    package func run(_ communicator: any Communicator) throws -> Outcome {
        communicator.phase = "memory check"
        var mine = Report()
        if communicator.nodeRank == 0 {
            mine = try report(communicator, ranks: communicator.ranksOnNode)
        }
        let reports = try communicator.allGather(bytes: Array(try JSONEncoder().encode(mine))).map {
            try JSONDecoder().decode(Report.self, from: Data($0))
        }
        try refuse(reports)
        return Outcome(
            fact: MemoryFact(
                plannedBytesPerRank: reports[0].bytesPerRank, freeBytes: reports[0].freeBytes, host: reports[0].host),
            bytesToCome: mine.bytesToCome)
    }

    private func report(_ communicator: any Communicator, ranks: Int) throws -> Report {
        Report(
            try plan(worldSize: communicator.worldSize), free(), limit(), ranks: ranks, host: communicator.hostName)
    }

    private func refuse(_ reports: [Report]) throws(RunError) {
        guard let report = reports.first(where: { $0.refusal != nil }), let refusal = report.refusal else { return }
        throw RunError(.resources, refusal, remedy: report.limited.map { "\($0.remedy); see kedge plan" } ?? remedy)
    }

    /// One node's verdict.
    private struct Report: Codable {
        var bytesPerRank = 0
        var bytesToCome = 0
        var freeBytes: Int?
        var host = ""
        /// Why the node cannot hold its ranks.
        var refusal: String?
        /// The limit of the process that is too low, if that is the reason.
        var limited: ProcessLimit.Kind?

        init() {}

        init(_ plan: StepPlan, _ free: NodeMemory?, _ limit: ProcessLimit?, ranks: Int, host: String) {
            (bytesPerRank, bytesToCome) = (plan.bytesPerRank, plan.bytesToCome * ranks)
            (freeBytes, self.host) = (free?.available, host)
            let mapped = plan.bytesToCome + MemoryCheck.unplannedBytes
            if let limit, mapped > limit.free {
                (limited, refusal) = (limit.kind, "a rank on \(host) needs \(mapped >> 20) MiB more: \(limit)")
                return
            }
            guard let free, bytesToCome > free.available else { return }
            refusal =
                "\(ranks) rank\(ranks == 1 ? "" : "s") on \(host) need\(ranks == 1 ? "s" : "") \(bytesToCome >> 20) MiB more, "
                + "\(free.available >> 20) MiB are free according to \(free.source)"
        }
    }

    /// What a rank maps beside its plan: stacks of the threads that read and save, reserves of the allocator.
    package static let unplannedBytes = 64 << 20

    /// The plan of a rank's part of a step. Throws the errors of a step.
    package func plan(worldSize: Int) throws -> StepPlan {
        try StepPlan(request(method, worldSize: worldSize))
    }

    private func request(_ method: any AdaptationMethod, worldSize: Int) -> StepPlan.Request {
        var request = StepPlan.Request(configuration, method)
        request.step.recompute = recipe.execution.recompute
        request.step.decoderChunk = recipe.execution.decoderChunk
        request.step.adapters = recipe.adapterOptions
        request.step.instances = max(1, min(recipe.prompts.maximumInstances, mostInstances))
        request.threads = threads
        request.isBaseShared = recipe.node.baseMemory == .window
        request.imagesPerRank = (recipe.training.globalBatch + worldSize - 1) / worldSize
        request.prefetchDepth = recipe.execution.prefetchDepth
        if method.trains {
            request.keptVectors = recipe.continual.strategy.keptVectors(domains: domains)
            request.step.distils = recipe.continual.strategy.protection == .distillation && method.distils
        }
        if recipe.prompts.usesPoints {
            request.step.points = recipe.prompts.positivePoints + recipe.prompts.negativePoints
        }
        return request
    }

    /// The remedy when a node cannot hold its ranks.
    package var remedy: String {
        recipe.execution.recompute == .blocks
            ? "start fewer ranks per node or lower prompts.maximumInstances, training.globalBatch or execution.prefetchDepth; "
                + "see kedge plan"
            : "set execution.recompute=blocks or start fewer ranks per node; see kedge plan"
    }
}

extension RunAssembly {
    /// The memory check of this run on its nodes.
    ///
    /// - Parameter inherited: Domains of a pool that the run continues.
    func memoryCheck(
        _ loaded: LoadedModel, _ data: TrainingData, inherited: Int = 0, evaluating: Bool = false
    ) throws -> MemoryCheck {
        var check = MemoryCheck(
            recipe: recipe, configuration: loaded.model.configuration, threads: workspace.pool.threads,
            mostInstances: data.mostInstances, method: evaluating ? try MemoryCheck.evaluation() : nil)
        check.domains = data.training.domains.count + inherited
        return check
    }
}

extension MemoryCheck {
    /// Refuses a plan for which this node or process lacks the memory, for a rank that computes alone; its weights are
    /// loaded.
    ///
    /// Throws `RunError` of kind `resources`.
    package static func check(_ plan: StepPlan, host: String) throws(RunError) {
        let report = Report(plan, .now(), .tightest(), ranks: 1, host: host)
        guard let refusal = report.refusal else { return }
        let remedy = report.limited?.remedy ?? "use a node or a job with more memory"
        throw RunError(.resources, refusal, remedy: "\(remedy); see kedge plan")
    }

    /// The address space that a rank needs at most, for limits such as `ulimit -v` and Grid Engine's `h_vmem`: beside
    /// what it uses, libraries, buffers of OpenBLAS, stacks, and the weights again while they are read and planned.
    package static func addressSpace(_ plan: StepPlan, threads: Int) -> Int {
        plan.bytesPerRank + 2 * plan.weightBytes + threads * BLASEnvironment.bufferBytes + unplannedBytes + libraryBytes
    }

    /// Program and libraries as mapped, with MPI.
    private static let libraryBytes = 512 << 20

    /// A method that does not train: its plan is that of an evaluation.
    package static func evaluation() throws -> any AdaptationMethod { try MethodRegistry.known.make("direct") }

    /// Refuses a model whose weights exceed the memory of this node or process, before they are read; on rank 0, which
    /// reads them.
    ///
    /// Throws `RunError` of kind `resources`.
    package static func checkWeights(
        _ model: ModelSettings, _ communicator: any Communicator, free: NodeMemory? = .now(),
        limit: ProcessLimit? = .tightest()
    ) throws(RunError) {
        // The size of the published file, also where others of the same shapes take their place.
        guard communicator.isRoot, let size = model.kind.weights?.bytes else { return }
        let need = "the weights of \(model.kind.name) need \(size >> 20) MiB on \(communicator.hostName)"
        if let limit, size > limit.free {
            throw RunError(.resources, "\(need): \(limit)", remedy: "\(limit.kind.remedy); see kedge plan")
        }
        if let free, size > free.available {
            throw RunError(
                .resources, "\(need), \(free.available >> 20) MiB are free according to \(free.source)",
                remedy: "use a node or a job with more memory; see kedge plan")
        }
    }
}
