package import AdaptationMethods
import Adapters
package import Collectives
import Layers
package import Performance
package import SegmentAnything

/// Compares what a run will need with what its nodes can give, before the first step. Collective.
///
/// The first rank of each node rehearses a step with the recipe's largest number of instances and reads the node's free
/// memory; all ranks come to the same verdict. Weights are loaded by then and not counted again.
package struct MemoryCheck {
    let recipe: Recipe
    let configuration: SegmentAnythingConfiguration
    let methods: MethodRegistry
    let threads: Int
    /// Instances of the image that has most.
    let mostInstances: Int
    /// How a node's free memory is found out.
    let free: @Sendable () -> NodeMemory?

    package init(
        recipe: Recipe, methods: MethodRegistry = .known, configuration: SegmentAnythingConfiguration, threads: Int,
        mostInstances: Int,
        free: @escaping @Sendable () -> NodeMemory? = { NodeMemory.now() }
    ) {
        (self.recipe, self.methods, self.configuration, self.threads) = (recipe, methods, configuration, threads)
        (self.mostInstances, self.free) = (mostInstances, free)
    }

    /// What the check has found.
    package struct Outcome: Sendable {
        /// The line for the log.
        package let line: String
        /// On the first rank of a node, bytes that its ranks have yet to take; 0 on others.
        package let bytesToCome: Int
    }

    /// Throws `TrainingError` of kind `resources` on all ranks when a node cannot hold its ranks.
    package func run(_ communicator: any Communicator) throws -> Outcome {
        communicator.phase = "memory check"
        var mine = ""
        var bytesToCome = 0
        if communicator.nodeRank == 0 {
            let plan = try plan(worldSize: communicator.worldSize)
            bytesToCome = plan.bytesToCome * communicator.ranksOnNode
            mine = report(plan, bytesToCome, ranks: communicator.ranksOnNode, host: communicator.hostName)
        }
        let reports = try communicator.allGather(bytes: Array(mine.utf8)).map { String(decoding: $0, as: UTF8.self) }
        if let refusal = reports.first(where: { $0.hasPrefix(Self.refusal) }) {
            throw TrainingError(.resources, String(refusal.dropFirst(Self.refusal.count)), remedy: remedy)
        }
        return Outcome(line: reports[0], bytesToCome: bytesToCome)
    }

    private static let refusal = "refused: "

    /// One node's verdict.
    private func report(_ plan: StepPlan, _ toCome: Int, ranks: Int, host: String) -> String {
        guard let free = free() else { return "memory: \(plan.bytesPerRank >> 20) MiB a rank expected" }
        guard toCome > free.available else {
            return "memory: \(plan.bytesPerRank >> 20) MiB a rank expected, \(free.available >> 20) MiB free on \(host)"
        }
        return Self.refusal
            + "\(ranks) rank\(ranks == 1 ? "" : "s") on \(host) need \(toCome >> 20) MiB more, "
            + "\(free.available >> 20) MiB are free by \(free.source)"
    }

    /// A rank's part of a step, planned. Throws what a step throws.
    package func plan(worldSize: Int) throws -> StepPlan {
        try StepPlan(request(try recipe.adaptationMethod(of: methods), worldSize: worldSize))
    }

    private func request(_ method: any AdaptationMethod, worldSize: Int) -> StepPlan.Request {
        var request = StepPlan.Request(configuration, method)
        request.step.recompute = recipe.training.recompute
        request.step.decoderChunk = recipe.training.decoderChunk
        request.step.adapters = recipe.adapterOptions
        request.step.instances = max(1, min(recipe.prompts.maximumInstances, mostInstances))
        request.threads = threads
        request.isBaseShared = recipe.node.baseMemory == .window
        request.imagesPerRank = (recipe.training.globalBatch + worldSize - 1) / worldSize
        request.prefetchDepth = recipe.training.prefetchDepth
        if recipe.prompts.kind == .point || recipe.prompts.teacherKind == .point {
            request.step.points = recipe.prompts.positivePoints + recipe.prompts.negativePoints
        }
        return request
    }

    /// What to do when a node cannot hold its ranks.
    package var remedy: String {
        recipe.training.recompute == .blocks
            ? "start fewer ranks on a node or lower prompts.maximumInstances, training.globalBatch or training.prefetchDepth; "
                + "see kedge plan"
            : "set training.recompute=blocks or start fewer ranks on a node; see kedge plan"
    }
}
