import AdaptationMethods
import Adapters
import Benchmarking
import Kernels
import Layers
import Planning
import SegmentAnything
import Tensors
import Testing

/// Plans need no computation, so they are made for the full-size models.
@Suite struct StepPlanTests {
    private func plan(
        _ configuration: SegmentAnythingConfiguration, _ level: RecomputeLevel, instances: Int, chunk: Int = 8
    ) throws -> StepPlan {
        var request = StepPlan.Request(configuration, WeSAM())
        (request.step.recompute, request.step.instances) = (level, instances)
        request.step.decoderChunk = chunk
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

    /// A real step of every method takes exactly the tensors that were rehearsed.
    @Test(arguments: RecomputeLevel.allCases, ["wesam", "self-training", "supervised", "tent"])
    func aStepHoldsWhatWasRehearsed(level: RecomputeLevel, method: String) throws {
        for instances in [2, 11] {
            var request = StepRequest(.tiny, try MethodRegistry.known.make(method))
            (request.recompute, request.decoderChunk, request.instances) = (level, 4, instances)
            let rehearsal = try StepRehearsal(request)
            let pool = StoragePool()
            try StoragePool.$rehearsal.withValue(pool) {
                let weights = {
                    let model = SegmentAnythingModel(.tiny, SmallWeights())
                    pool.trim()
                    return withExtendedLifetime(model) { pool.figures.live }
                }()
                #expect(weights == rehearsal.weights)
                let trainables = try Trainables(request.method.trainables, in: ModelDescription(.tiny))
                let adapted = AdaptedModel(.tiny, SmallWeights(), trainables)
                let example = try ModelBenchmark.example(
                    adapted.model, instances: instances, needs: request.method.needs)
                pool.trim()
                pool.resetPeaks()
                var context = StepContext(adapted, decoderChunk: 4, recompute: level, in: Workspace(threads: 1))
                _ = try request.method.step(example, in: &context)
                let measured = pool.figures.peak - weights
                #expect(abs(measured - rehearsal.step) <= rehearsal.step / 100, "\(measured), not \(rehearsal.step)")
            }
        }
    }

    /// What a step costs is counted in the passes that its own method makes.
    @Test func passesAreThoseOfTheMethod() throws {
        func passes(_ method: String, instances: Int = 3, keepsAnchor: Bool = false) throws -> [Int] {
            var request = StepRequest(.tiny, try MethodRegistry.known.make(method))
            request.instances = instances
            let passes = try StepRehearsal(request, keepsAnchor: keepsAnchor).passes
            return [
                passes.stems, passes.encoder.forward, passes.encoder.backward, passes.decoder.forward,
                passes.decoder.backward,
            ]
        }
        #expect(try passes("wesam") == [2, 3, 2, 9, 6])
        #expect(try passes("wesam", keepsAnchor: true) == [2, 2, 2, 9, 6])
        #expect(try passes("wesam", instances: 11) == [2, 3, 2, 55, 22], "decoder passes are made again in backward")
        #expect(try passes("self-training") == [2, 2, 1, 6, 3])
        #expect(try passes("supervised") == [1, 1, 1, 3, 3])
        #expect(try passes("tent") == [1, 1, 1, 3, 3])
        #expect(try passes("direct") == [0, 0, 0, 0, 0])
    }

    /// A method without steps is planned as the evaluation of an image: no operation of a step, no residuals.
    @Test func directPlansNoStep() throws {
        let plan = try StepPlan(StepPlan.Request(.mobileSAM, try MethodRegistry.known.make("direct")))
        #expect(plan.operations == 0 && part(plan, "encoder residuals") == 0)
        let wesam = try StepPlan(StepPlan.Request(.mobileSAM, try MethodRegistry.known.make("wesam")))
        #expect(plan.bytesPerRank < wesam.bytesPerRank && plan.weightBytes == wesam.weightBytes)
    }

    /// Ranks of a node share the frozen weights unless each is to have its own.
    @Test func sharedWeightsCountOnce() throws {
        var request = StepPlan.Request(.mobileSAM, WeSAM())
        (request.step.instances, request.step.recompute) = (1, .blocks)
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
