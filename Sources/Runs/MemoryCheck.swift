import AdaptationMethods
import Adapters
package import Collectives
import Datasets
import Foundation
import Kernels
import Layers
package import Machine
import ModelLoading
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
    /// Measures a node's free memory.
    let free: @Sendable () -> NodeMemory?

    package init(
        recipe: Recipe, configuration: SegmentAnythingConfiguration, threads: Int,
        mostInstances: Int,
        free: @escaping @Sendable () -> NodeMemory? = { NodeMemory.now() }
    ) {
        (self.recipe, self.configuration, self.threads) = (recipe, configuration, threads)
        (self.mostInstances, self.free) = (mostInstances, free)
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
            let plan = try plan(worldSize: communicator.worldSize)
            mine = Report(plan, free(), ranks: communicator.ranksOnNode, host: communicator.hostName)
        }
        let reports = try communicator.allGather(bytes: Array(try JSONEncoder().encode(mine))).map {
            try JSONDecoder().decode(Report.self, from: Data($0))
        }
        if let refusal = reports.compactMap(\.refusal).first {
            throw RunError(.resources, refusal, remedy: remedy)
        }
        return Outcome(
            fact: MemoryFact(
                plannedBytesPerRank: reports[0].bytesPerRank, freeBytes: reports[0].freeBytes, host: reports[0].host),
            bytesToCome: mine.bytesToCome)
    }

    /// One node's verdict.
    private struct Report: Codable {
        var bytesPerRank = 0
        var bytesToCome = 0
        var freeBytes: Int?
        var host = ""
        /// Why the node cannot hold its ranks.
        var refusal: String?

        init() {}

        init(_ plan: StepPlan, _ free: NodeMemory?, ranks: Int, host: String) {
            (bytesPerRank, bytesToCome) = (plan.bytesPerRank, plan.bytesToCome * ranks)
            (freeBytes, self.host) = (free?.available, host)
            guard let free, bytesToCome > free.available else { return }
            refusal =
                "\(ranks) rank\(ranks == 1 ? "" : "s") on \(host) need \(bytesToCome >> 20) MiB more, "
                + "\(free.available >> 20) MiB are free according to \(free.source)"
        }
    }

    /// The plan of a rank's part of a step. Throws the errors of a step.
    package func plan(worldSize: Int) throws -> StepPlan {
        try StepPlan(request(recipe.adaptationMethod, worldSize: worldSize))
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
    func memoryCheck(_ loaded: LoadedModel, _ data: TrainingData) -> MemoryCheck {
        MemoryCheck(
            recipe: recipe, configuration: loaded.model.configuration, threads: workspace.pool.threads,
            mostInstances: data.mostInstances)
    }
}
