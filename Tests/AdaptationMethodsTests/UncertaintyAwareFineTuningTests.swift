import AdaptationMethods
import Adapters
import Interaction
import Kernels
import Layers
import Recipes
import SegmentAnything
import Tensors
import Testing
import TestSupport

/// SUM's steps on images with true masks and with pseudo-masks, on the small model of the official numbers.
@Suite struct UncertaintyAwareFineTuningTests {
    private let golden: GoldenSUM
    private var side: Int { golden.sizes.img }
    private var area: MaskCanvas.Area { .init(height: side * 3 / 4, width: side) }

    init() throws { golden = try GoldenSUM() }

    private func settings(_ change: (inout UncertaintyAwareSettings) -> Void = { _ in }) -> UncertaintyAwareSettings {
        var settings = UncertaintyAwareSettings()
        (settings.interactive.trains, settings.interactive.rounds) = (.decoder, 4)
        change(&settings)
        return settings
    }

    /// Two soft squares at the decoder's resolution. // [2, low, low]
    private var probability: Tensor {
        let low = golden.low
        return Tensor(
            (0..<2 * low * low).map { place in
                let (object, row, column) = (place / (low * low), place / low % low, place % low)
                let isInside =
                    (low / 8 + object * low / 4..<low / 3 + object * low / 4).contains(row)
                    && (low / 4..<low / 2).contains(column)
                return isInside ? 0.9 : 0.05
            }, [2, low, low])
    }

    /// The pixels whose enlarged probability exceeds 1/2, as bytes on the canvas. // [2, S, S]
    private func bytes(_ probability: Tensor) -> [UInt8] {
        var canvas = Tensor(uninitialized: [2, side, side])
        BilinearResizeKernel.forward(probability, into: &canvas, in: golden.workspace)
        return canvas.elements.map { $0 > 0.5 ? 1 : 0 }
    }

    private func example(_ pseudo: PseudoMasks?, seed: UInt64 = 3) throws -> AdaptationExample {
        var generator = SeededGenerator(seed: 9, purpose: "interactive image")
        let view = Tensor((0..<side * side * 3).map { _ in Float(generator.uniform(-2, 2)) }, [side, side, 3])
        var example = AdaptationExample(
            weak: view, strong: view, prompts: try PromptBatch(boxes: Tensor([1, 1, 9, 9, 2, 2, 12, 12], [2, 4])),
            masks: bytes(probability), random: SeededGenerator(seed: seed, purpose: "method"))
        (example.area, example.pseudoMasks, example.task) = (area, pseudo, TaskKind.salient.id)
        return example
    }

    private func run(
        _ settings: UncertaintyAwareSettings, _ pseudo: PseudoMasks?, seed: UInt64 = 3, threads: Int = 1
    ) throws -> (losses: StepLosses, gradient: [Float]) {
        let method = UncertaintyAwareFineTuning(settings)
        let adapted = AdaptedModel(
            golden.model, try golden.weights(),
            try Trainables(method.trainables, in: ModelDescription(golden.model), AdapterOptions(rank: 2, seed: 4)))
        var context = StepContext(adapted, in: Workspace(threads: threads, fillingScratchWith: .nan))
        let losses = try method.step(try example(pseudo, seed: seed), in: &context)
        return (losses, context.gradients.values.elements)
    }

    /// The refined masks lose the right half of the squares.
    private var doubtful: PseudoMasks {
        let (own, low) = (probability, golden.low)
        let refined = own.elements.enumerated().map { $0 % low >= low * 3 / 8 ? 0.05 : $1 }
        return PseudoMasks(probability: own, refined: Tensor(refined, own.shape))
    }

    /// Without uncertainty a pseudo-mask is a mask: the same clicks, the same losses.
    @Test func masksThatAreTrustedEverywhereAreMasks() throws {
        let trusted = PseudoMasks(probability: probability, refined: probability)
        for seed: UInt64 in 1...3 {
            let (own, true_) = (try run(settings(), trusted, seed: seed), try run(settings(), nil, seed: seed))
            #expect(own.losses.instances == 2 && own.losses.isFinite)
            for (one, other) in zip(own.losses.parts, true_.losses.parts) {
                #expect(abs(one.value - other.value) <= 1e-6 * max(1, abs(other.value)), "\(one.name)")
            }
            #expect(relativeL2Error(own.gradient, true_.gradient) <= 1e-5)
        }
    }

    @Test func uncertaintyLowersLossesAndMovesClicks() throws {
        let weighted = try run(settings(), doubtful)
        let vanilla = try run(
            settings {
                $0.weighsLosses = false
                $0.weighsClicks = false
            }, doubtful)
        // As with no maps at all.
        let plain = try run(settings(), nil)
        #expect(vanilla.losses.parts.map(\.name) == plain.losses.parts.map(\.name))
        for (one, other) in zip(vanilla.losses.parts, plain.losses.parts) {
            #expect(abs(one.value - other.value) <= 1e-6 * max(1, abs(other.value)))
        }
        #expect(weighted.gradient != vanilla.gradient)
        // Weights of at most 1 cannot raise the focal loss of the same clicks.
        let sameClicks = try run(settings { $0.weighsClicks = false }, doubtful)
        #expect((sameClicks.losses["focal"] ?? 1) < (vanilla.losses["focal"] ?? 0))
        var moved = 0
        for seed: UInt64 in 1...4 {
            let free = try run(settings { $0.weighsLosses = false }, doubtful, seed: seed)
            let bound = try run(
                settings {
                    $0.weighsLosses = false
                    $0.weighsClicks = false
                }, doubtful, seed: seed)
            if free.losses != bound.losses { moved += 1 }
        }
        #expect(moved > 0)
    }

    /// The ablation "Mask Refinement": the refined masks are the labels, trusted everywhere.
    @Test func refinedMasksReplaceTheLabels() throws {
        let refined = try run(settings { $0.label = .refined }, doubtful)
        let same = try run(settings(), PseudoMasks(probability: doubtful.refined, refined: doubtful.refined))
        #expect(refined.losses == same.losses && refined.gradient == same.gradient)
    }

    @Test func stepsHaveTheSameBitsWithAnyThreads() throws {
        let (one, three) = (try run(settings(), doubtful), try run(settings(), doubtful, threads: 3))
        #expect(one.losses == three.losses && one.gradient == three.gradient)
    }

    @Test func settingsReachTheirParts() {
        #expect(settings { $0.theta = 0.5 }.faults.isEmpty)
        for source in [UncertaintySource.confidence, .none] {
            let faults = settings {
                ($0.label, $0.uncertainty) = (.refined, source)
            }.faults
            #expect(faults.map(\.key) == ["label"])
        }
        let method = UncertaintyAwareFineTuning(
            settings {
                ($0.store, $0.refiner, $0.refinerEpochs) = ("s", "r", 3)
                ($0.refinerMinimumIoU, $0.refinerFilters) = (0.5, false)
            })
        let plan = method.pseudoMasks
        #expect(plan?.store == "s" && plan?.refiner.file == "r" && plan?.refiner.epochs == 3)
        #expect(plan?.refiner.keys.map(\.value) == [.number(0.5), .flag(false)])
        #expect(method.needs.anchor && method.needs.masks && method.needs.task)
    }
}
