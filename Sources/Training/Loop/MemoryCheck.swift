import AdaptationMethods
import Collectives
import Layers
import Performance
import SegmentAnything
import Telemetry

/// Compares what a run will need with what its nodes can give, before the first step. Collective.
///
/// The first rank of each node rehearses a step with the recipe's largest number of instances and reads the node's free
/// memory; all ranks come to the same verdict. Weights are loaded by then, so they are not counted again.
struct MemoryCheck {
    let recipe: Recipe
    let configuration: SegmentAnythingConfiguration
    let threads: Int

    /// Throws `TrainingError` of kind `resources` on all ranks when a node cannot hold its ranks.
    func run(_ communicator: any Communicator, log: RunLog) throws {
        communicator.phase = "memory check"
        let hosts = communicator.hostNames
        let isFirst = hosts.firstIndex(of: communicator.hostName) == communicator.rank
        var figures: [Float] = [0, 0, 0]  // MiB: a rank in all, still to come, free
        if isFirst {
            let plan = try StepPlan(request)
            let free = NodeMemory.now().map { Float($0.available >> 20) } ?? .infinity
            figures = [Float(plan.bytesPerRank >> 20), Float(plan.bytesToCome >> 20), free]
        }
        let all = try communicator.allGather(floats: figures)
        for rank in hosts.indices where hosts.firstIndex(of: hosts[rank]) == rank {
            let ranks = hosts.count { $0 == hosts[rank] }
            let (whole, toCome, free) = (all[rank][0], all[rank][1], all[rank][2])
            if rank == 0 {
                let here = free.isFinite ? ", \(Int(free)) MiB free on \(hosts[rank])" : ""
                log.message(.info, "memory: \(Int(whole)) MiB a rank expected\(here)")
            }
            guard toCome * Float(ranks) > free else { continue }
            throw TrainingError(
                .resources,
                "\(ranks) rank\(ranks == 1 ? "" : "s") on \(hosts[rank]) need \(Int(toCome) * ranks) MiB more, "
                    + "\(Int(free)) MiB are free", remedy: remedy)
        }
    }

    private var request: StepPlan.Request {
        var request = StepPlan.Request(configuration)
        request.settings.recompute = recipe.training.recompute
        request.settings.decoderChunk = recipe.training.decoderChunk
        (request.loraRank, request.threads) = (recipe.lora.rank, threads)
        request.instances = recipe.prompts.maximumInstances
        request.prefetchDepth = recipe.training.prefetchDepth
        if recipe.prompts.kind == .point || recipe.prompts.teacherKind == .point {
            request.points = recipe.prompts.positivePoints + recipe.prompts.negativePoints + 1
        }
        return request
    }

    private var remedy: String {
        recipe.training.recompute == .blocks
            ? "start fewer ranks on a node or lower prompts.maximumInstances or training.prefetchDepth; see kedge plan"
            : "set training.recompute=blocks or start fewer ranks on a node; see kedge plan"
    }
}
