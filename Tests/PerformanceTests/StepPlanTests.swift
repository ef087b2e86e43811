import AdaptationMethods
import Kernels
import Layers
import LowRankAdaptation
import Performance
import SegmentAnything
import Tensors
import Testing

/// Plans need no computation, so they are made for the full-size models.
@Suite struct StepPlanTests {
    private func plan(
        _ configuration: SegmentAnythingConfiguration, _ level: RecomputeLevel, instances: Int, chunk: Int = 8
    ) throws -> StepPlan {
        var request = StepPlan.Request(configuration)
        (request.settings.recompute, request.instances) = (level, instances)
        request.settings.decoderChunk = chunk
        return try StepPlan(request)
    }

    private func part(_ plan: StepPlan, _ name: String) -> Int { plan.parts.first { $0.name == name }?.bytes ?? -1 }

    @Test func weightsAreThoseOfTheModel() throws {
        let numbers = SegmentAnythingModel.parameterShapes(.vitB).reduce(0) { $0 + $1.shape.count }
        let weights = part(try plan(.vitB, .none, instances: 1), "frozen weights")
        #expect(weights >= 4 * numbers && weights < 4 * numbers + (24 << 20), "\(weights) for \(numbers) numbers")
    }

    /// ViT-B keeps 10 D + heads + few floats per token and block, 6 D with the hidden layers made again, D with all of it.
    @Test func residualsAreThoseCountedByHand() throws {
        let token = 4096 * 768 * 4
        for (level, floats) in [(RecomputeLevel.none, 10), (.mlp, 6), (.blocks, 1)] {
            let residuals = part(try plan(.vitB, level, instances: 1), "encoder residuals")
            let counted = 12 * floats * token
            #expect(residuals > counted && residuals < counted + counted / 16 + (24 << 20), "\(level): \(residuals)")
        }
    }

    @Test func fullSizeStepsFitTheirBudgets() throws {
        let whole = try plan(.vitB, .none, instances: 8)
        let small = try plan(.vitB, .blocks, instances: 8)
        #expect(whole.bytesPerRank < 2_560 << 20 && small.bytesPerRank < 1_229 << 20)
        let many = try plan(.vitB, .none, instances: 40)
        #expect(many.bytesPerRank - whole.bytesPerRank < 512 << 20)
        #expect(small.operations > whole.operations && many.operations > whole.operations)
        #expect(whole.bytesToCome < whole.bytesPerRank)
    }

    @Test func levelsOrderMemoryAndWork() throws {
        for configuration in [SegmentAnythingConfiguration.mobileSAM, .liteMedSAM, .vitL] {
            let plans = try RecomputeLevel.allCases.map { try plan(configuration, $0, instances: 2) }
            #expect(plans[0].bytesPerRank > plans[1].bytesPerRank && plans[1].bytesPerRank > plans[2].bytesPerRank)
            #expect(plans[0].operations < plans[1].operations && plans[1].operations < plans[2].operations)
        }
    }

    /// A real step takes exactly the tensors that were rehearsed.
    @Test(arguments: RecomputeLevel.allCases, [2, 11]) func aStepHoldsWhatWasRehearsed(
        level: RecomputeLevel, instances: Int
    ) throws {
        var settings = WeSAMConfiguration()
        (settings.recompute, settings.decoderChunk) = (level, 4)
        let rehearsal = try StepRehearsal(.tiny, settings: settings, loraRank: 4, instances: instances)
        let pool = StoragePool()
        try StoragePool.$rehearsal.withValue(pool) {
            let model = SegmentAnythingModel(.tiny, SmallWeights())
            pool.trim()
            let weights = pool.figures.live
            #expect(weights == rehearsal.weights)
            let adapter = LoRAAdapter(layout: LoRALayout(sites: model.encoder.adapterSites, rank: 4), seed: 1)
            let example = try ModelBenchmark.example(model, instances: instances)
            pool.trim()
            pool.resetPeaks()
            var gradients = GradientBuffer(count: adapter.layout.count)
            _ = try WeSAM(settings).step(
                example, model: model, adapter: adapter, gradients: &gradients, in: Workspace(threads: 1))
            let measured = pool.figures.peak - weights
            #expect(abs(measured - rehearsal.step) <= rehearsal.step / 100, "\(measured), not \(rehearsal.step)")
        }
    }

    /// Ranks of a node share the frozen weights unless each is to have its own.
    @Test func sharedWeightsCountOnce() throws {
        var request = StepPlan.Request(.mobileSAM)
        (request.instances, request.settings.recompute) = (1, .blocks)
        let shared = try StepPlan(request)
        #expect(shared.bytes(ranks: 3) == 3 * shared.bytesPerRank - 2 * part(shared, "frozen weights"))
        request.isBaseShared = false
        let own = try StepPlan(request)
        #expect(own.bytes(ranks: 3) == 3 * own.bytesPerRank)
    }
}

/// Small weights: memory does not depend on them.
private struct SmallWeights: ParameterSource {
    func tensor(_ name: String, _ shape: Shape) -> Tensor { Tensor(repeating: 0.01, shape) }
}
