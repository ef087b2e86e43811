import AdaptationMethods
import Adapters
import Kernels
import Layers
import SegmentAnything
import Tensors
import Testing
import TestSupport

/// Properties of any step, on the model and the first image (three boxes) of the golden steps.
@Suite struct WeSAMTests {
    private struct Outcome: Equatable {
        let losses: StepLosses
        let gradient: [Float]

        /// Equal to the last bit.
        static func == (a: Self, b: Self) -> Bool {
            a.losses == b.losses && a.gradient.map(\.bitPattern) == b.gradient.map(\.bitPattern)
        }
    }

    private let setting: GoldenWeSAMStepTests.Setting
    private let adapted: AdaptedModel
    private let prompts: PromptBatch

    init() throws {
        setting = try GoldenWeSAMStepTests.Setting()
        adapted = setting.adapted(try setting.matrices("lora.init"))
        prompts = try setting.prompts("boxes.step0", "boxes", 0)
    }

    private func example(
        _ prompts: PromptBatch? = nil, teacher: PromptBatch? = nil, maskCount: Int? = nil
    ) throws -> AdaptationExample {
        AdaptationExample(
            weak: try setting.image("boxes.step0.in.weak", 0), strong: try setting.image("boxes.step0.in.strong", 0),
            prompts: prompts ?? self.prompts, teacherPrompts: teacher, maskCount: maskCount)
    }

    private func run(
        _ example: AdaptationExample, _ settings: WeSAMSettings = .init(), threads: Int = 1,
        recompute: RecomputeLevel = .none, keepingDecoderPass: Bool = true, anchor: Tensor? = nil, from start: Float = 0
    ) throws -> Outcome {
        var context = StepContext(
            adapted, recompute: recompute,
            anchors: AnchorFeatures(kept: anchor.map { ImageFeatures(embedding: $0) }), in: Workspace(threads: threads))
        context.keepsDecoderPass = keepingDecoderPass
        context.gradients.values = Tensor(repeating: start, [setting.layout.count])
        let losses = try WeSAM(settings).step(example, in: &context)
        return Outcome(losses: losses, gradient: context.gradients.values.elements)
    }

    @Test func bitsDoNotDependOnThreads() throws {
        let one = try run(example())
        #expect(try run(example(), threads: 2) == one)
        #expect(try run(example(), threads: 3) == one)
    }

    @Test func keepingTheDecoderPassChangesNoBit() throws {
        #expect(try run(example(), keepingDecoderPass: false) == run(example()))
    }

    @Test(arguments: [RecomputeLevel.mlp, .blocks], [1, 2])
    func recomputingChangesNoBit(level: RecomputeLevel, threads: Int) throws {
        #expect(try run(example(), threads: threads, recompute: level) == run(example()))
    }

    @Test func aKeptAnchorEmbeddingChangesNoBit() throws {
        let context = PassContext(Workspace(threads: 1))
        let embedding = setting.model.encoder.encode(try example().weak, in: context).embedding
        #expect(try run(example(), anchor: embedding) == run(example()))
    }

    /// The gradient is that of sum of weight times loss, term by term.
    @Test func weightsScaleTheirTermsAlone() throws {
        let weights: [WritableKeyPath<WeSAMSettings, Double>] = [
            \.losses.focalWeight, \.losses.diceWeight, \.losses.iouWeight, \.anchorWeight, \.contrastWeight,
        ]
        func only(_ kept: Int?) throws -> Outcome {
            var settings = WeSAMSettings()
            for (index, weight) in weights.enumerated() where index != kept { settings[keyPath: weight] = 0 }
            return try run(example(), settings)
        }
        let whole = try run(example())
        var sum = [Float](repeating: 0, count: whole.gradient.count)
        for (index, part) in whole.losses.parts.enumerated() {
            let alone = try only(index)
            #expect(alone.gradient.contains { $0 != 0 }, "\(part.name) has no gradient")
            #expect(alone.losses.total == part.weight * part.value, "\(part.name)")
            for i in sum.indices { sum[i] += alone.gradient[i] }
        }
        #expect(relativeL2Error(sum, whole.gradient) < 1e-5)
        #expect(try only(nil).gradient.allSatisfy { $0 == 0 })
    }

    @Test func theGradientIsAddedToWhatIsThere() throws {
        let (fresh, added) = (try run(example()), try run(example(), from: 0.5))
        #expect(fresh.losses == added.losses)
        #expect(zip(fresh.gradient, added.gradient).allSatisfy { abs($0 + 0.5 - $1) <= 1e-6 })
    }

    @Test func theReleasedLossesKnowTheBatch() throws {
        var released = WeSAMSettings()
        released.losses.form = .released
        let (own, batch) = (try run(example(), released).losses, try run(example(maskCount: 6), released).losses)
        let paper = try run(example()).losses
        for (name, factor) in [("focal", 2.0), ("iou", 0.5), ("anchor", 1), ("contrast", 1)] {
            let (small, large) = (own[name] ?? .nan, batch[name] ?? .nan)
            #expect(abs(large - factor * small) <= 1e-12 * abs(large), "\(name)")
        }
        #expect(abs((own["focal"] ?? .nan) - 3 * (paper["focal"] ?? .nan)) < 1e-12)
        #expect((batch["dice"] ?? .nan) < (own["dice"] ?? .nan))
    }

    @Test func oneInstanceHasNoContrast() throws {
        let losses = try run(example(PromptBatch(boxes: prompts.boxes?.rows(0..<1)))).losses
        #expect(losses["contrast"] == 0 && losses.instances == 1 && losses.isFinite && losses.total > 0)
    }

    /// The teacher's terms depend on its own prompts alone; the student's losses on both.
    @Test func theTeacherMayTakeOtherPrompts() throws {
        let boxes = try #require(prompts.boxes)
        let corners = Tensor(boxes.elements, [boxes.shape[0], 2, 2])  // the boxes' corners as points
        let points = try PromptBatch(
            points: corners, labels: [PointLabel](repeating: .foreground, count: 2 * boxes.shape[0]))
        let (same, mixed) = (try run(example()), try run(example(points, teacher: prompts)))
        #expect(try run(example(teacher: prompts)) == same)
        #expect(try run(example(points)) != mixed)
        #expect(mixed.losses["contrast"] == same.losses["contrast"])
        #expect(mixed.losses["focal"] != same.losses["focal"])
        let error = #expect(throws: AdaptationMethodError.self) {
            _ = try run(example(points, teacher: PromptBatch(boxes: boxes.rows(0..<1))))
        }
        #expect(error?.kind == .example)
    }

    @Test func examplesOfAnotherModelAreRefused() throws {
        let fitting = try example()
        for wrong in [
            AdaptationExample(weak: fitting.weak, strong: Tensor(zeros: [64, 64, 3]), prompts: prompts),
            AdaptationExample(weak: Tensor(zeros: [3, 128, 128]), strong: fitting.strong, prompts: prompts),
            try example(maskCount: 2),
        ] {
            let error = #expect(throws: AdaptationMethodError.self) { _ = try run(wrong) }
            #expect(error?.kind == .example)
        }
        let error = #expect(throws: AdaptationMethodError.self) {
            _ = try run(fitting, anchor: Tensor(zeros: [64, 16]))
        }
        #expect(error?.kind == .example)
    }
}
