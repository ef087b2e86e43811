import Adapters
import Foundation
import Kernels
import Layers
import Machine
import SegmentAnything
import Tensors
import Testing
import TestSupport
import WeightFiles

/// Values by name, around one for scales.
struct NamedValues: ParameterSource {
    func tensor(_ name: String, _ shape: Shape) -> Tensor {
        let values = TestValues.uniform(shape.count, name)
        if shape.rank == 1 { return Tensor(values.map { name.hasSuffix("weight") ? 1 + $0 / 4 : $0 / 4 }, shape) }
        let fanIn = Float(shape.count / shape[0]).squareRoot()
        return Tensor(values.map { $0 * 1.7 / fanIn }, shape)
    }
}

/// Adapters and trained parameters of a whole model: places, files, merging.
@Suite struct AdaptationTests {
    private static let description = ModelDescription(.tiny)
    private static let whole = TrainablePlan(
        adapters: [.init("lora")],
        parameters: [
            .init("mask_decoder.", group: ParameterGroup("decoder", rateFactor: 0.1)),
            .init("prompt_encoder.", group: ParameterGroup("prompts", decay: .none)),
        ])

    /// All weights, those of the encoder with lower rates towards the image.
    private static let full = TrainablePlan(
        adapters: [],
        parameters: ["image_encoder", "prompt_encoder", "mask_decoder"].map {
            .init($0 + ".", group: ParameterGroup($0))
        }, layerDecay: .published)

    /// The tiny model with LoRA, decoder and prompt encoder, each at values of its own.
    private func adapted(_ plan: TrainablePlan = Self.whole) throws -> AdaptedModel {
        BLASEnvironment.useSingleThread()
        var adapted = AdaptedModel(.tiny, NamedValues(), try Trainables(plan, in: Self.description))
        let start = try #require(adapted.trained).values
        let noise = TestValues.uniform(start.count, "trained")
        adapted.trained?.values = Tensor(zip(start.elements, noise).map { $0 + 0.02 * $1 }, start.shape)
        return adapted
    }

    private func masks(_ adapted: AdaptedModel) throws -> [Float] {
        let context = adapted.context(in: Workspace(threads: 1))
        let side = adapted.model.encoder.imageSize
        let features = adapted.model.encoder.encode(TestValues.uniform([side, side, 3], "image"), in: context)
        let prompts = try PromptBatch(
            boxes: Tensor([4, 6, 70, 90, 10, 20, 60, 50], [2, 4]), points: Tensor([12, 20, 40, 44], [2, 1, 2]),
            labels: [.foreground, .background])
        let decoded = try adapted.model.predict(features, prompts, masks: .all, in: context)
        return decoded.logits.elements + decoded.iou.elements
    }

    @Test func decoderAndPromptEncoderTrainWhole() throws {
        let trainables = try Trainables(Self.whole, in: ModelDescription(.vitB))
        let own = trainables.layout.entries.filter { $0.group.name != "lora" }
        let decoder = own.filter { $0.group.name == "decoder" }.reduce(0) { $0 + $1.shape.count }
        let prompts = own.filter { $0.group.name == "prompts" }.reduce(0) { $0 + $1.shape.count }
        // The published numbers of parameters; the Fourier matrix of 2 x 128 does not train.
        #expect(decoder == 4_058_340 && prompts == 6_476 - 256)
        let lora = trainables.layout.entries.prefix { $0.group.name == "lora" }
        #expect(lora.count == 48 && lora.reduce(0) { $0 + $1.shape.count } == 147_456)
        #expect(
            trainables.layout.groups(in: 0..<trainables.layout.count).map(\.group.name) == [
                "lora", "decoder", "prompts",
            ])
    }

    /// The rate falls by 0.8 from block to block, once more below them; positions and tokens do not decay.
    @Test func theWholeEncoderTrains() throws {
        let trainables = try Trainables(Self.full, in: ModelDescription(.vitB))
        let encoder = trainables.layout.entries.filter { $0.name.hasPrefix("image_encoder.") }
        // The published number of parameters.
        #expect(encoder.reduce(0) { $0 + $1.shape.count } == 89_670_912)
        func group(_ name: String) -> ParameterGroup? { encoder.first { $0.name == "image_encoder." + name }?.group }
        for (name, distance, decays) in [
            ("neck.0.weight", 0, true), ("neck.1.weight", 0, false), ("blocks.11.mlp.lin1.weight", 1, true),
            ("blocks.1.attn.qkv.weight", 11, true), ("blocks.0.attn.rel_pos_h", 12, false),
            ("blocks.0.attn.proj.bias", 12, false), ("patch_embed.proj.weight", 13, true), ("pos_embed", 13, false),
        ] {
            let exact = (0..<distance).reduce(1.0) { rate, _ in rate * 0.8 }
            #expect(group(name)?.rateFactor == exact, "\(name)")
            #expect(group(name)?.decay == (decays ? .asConfigured : ParameterGroup.Decay.none), "\(name)")
        }
        // Resized tables of positions have no place in the weight file.
        let allGlobal = try #require(SegmentAnythingConfiguration.tiny.allGlobal)
        #expect(throws: AdapterError.self) { _ = try Trainables(Self.full, in: ModelDescription(allGlobal)) }
    }

    @Test(arguments: [AdaptationTests.whole, AdaptationTests.full])
    func trainingBeginsWithTheWeights(_ plan: TrainablePlan) throws {
        let adapted = AdaptedModel(.tiny, NamedValues(), try Trainables(plan, in: Self.description))
        let trained = try #require(adapted.trained)
        for entry in trained.layout.entries where entry.group.name != "lora" {
            #expect(trained.value(entry.slot).elements == NamedValues().tensor(entry.name, entry.shape).elements)
        }
        // Fresh trainables are the base model, bit for bit, and so is a pass without them.
        let base = AdaptedModel(SegmentAnythingModel(.tiny, NamedValues()))
        #expect(try masks(adapted).map(\.bitPattern) == masks(base).map(\.bitPattern))
        #expect(try masks(self.adapted(plan)) != masks(base))
        #expect(try masks(AdaptedModel(self.adapted(plan).model)) == masks(base))
    }

    @Test func aPrefixThatNothingAnswersToIsRefused() {
        let plan = TrainablePlan(adapters: [], parameters: [.init("image_encoder.", group: ParameterGroup("x"))])
        let error = #expect(throws: AdapterError.self) { _ = try Trainables(plan, in: ModelDescription(.mobileSAM)) }
        #expect(error?.description.contains("image_encoder.") == true)
        let unknown = #expect(throws: AdapterError.self) {
            _ = try Trainables(TrainablePlan(adapters: [.init("lure")]), in: Self.description)
        }
        #expect(unknown?.description.contains("lora") == true)
    }

    // MARK: Files

    private let file = AdapterFile.Description(
        model: "tiny", imageSize: 128, baseDigest: "abc", preprocessing: "sam", step: 7, recipeDigest: "r")

    private func roundTrip(_ adapted: AdaptedModel, _ body: (AdapterFile, String) throws -> Void) throws {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent(
            "kedge-\(UUID().uuidString).safetensors"
        ).path
        defer { try? FileManager.default.removeItem(atPath: path) }
        let digest = try AdapterFile.write(adapted, AdapterOptions(rank: 4), file, to: path)
        #expect(try AdapterFile.write(adapted, AdapterOptions(rank: 4), file, to: path) == digest)
        try body(try AdapterFile(opening: path), path)
    }

    @Test(arguments: [TrainablePlan.lowRankPairs, AdaptationTests.whole, AdaptationTests.full])
    func filesRoundTrip(_ plan: TrainablePlan) throws {
        let adapted = try adapted(plan)
        try roundTrip(adapted) { read, _ in
            #expect(read.description == file && read.options.rank == 4 && read.kinds == plan.adapters.map(\.kind))
            let trainables = try read.trainables(in: Self.description)
            let layout = trainables.layout
            // A file stores names; the order of groups was that of the plan.
            #expect(Set(layout.entries.map(\.name)) == Set(adapted.layout.entries.map(\.name)))
            let values = try read.values(of: layout, baseDigest: "abc")
            for entry in layout.entries {
                let slot = try #require(adapted.layout.slot(of: entry.name))
                #expect(values.rows(entry.range).elements == adapted.trained?.value(slot).elements, "\(entry.name)")
            }
            let source = TrainableSource(NamedValues(), layout: layout)
            let again = AdaptedModel(SegmentAnythingModel(.tiny, source), trainables, values: values)
            #expect(try masks(again) == masks(adapted))
            #expect(throws: WeightFileError.self) { _ = try read.values(of: layout, baseDigest: "other") }
            guard !plan.adapters.isEmpty else { return }
            let other = try Trainables(plan, in: Self.description, AdapterOptions(rank: 3)).layout
            #expect(throws: WeightFileError.self) { _ = try read.values(of: other, baseDigest: "abc") }
        }
    }

    // MARK: Merging

    /// A merged model has no adapter and gives the adapted one's masks; its base keeps its bits.
    @Test(arguments: ["tiny", "tiny, all weights", "TinyViT"]) func mergingAndReverting(_ name: String) throws {
        BLASEnvironment.useSingleThread()
        let tinyViT = SegmentAnythingConfiguration(
            encoder: .tinyViT(
                TinyViTConfiguration(
                    imageSize: 64, patchEmbedding: .strided, widths: [8, 16, 16, 32], depths: [1, 1, 1, 1],
                    heads: [1, 2, 2, 4], windows: [3, 3, 5, 3], embeddingWidth: 32)),
            decoder: MaskDecoderConfiguration(width: 32, heads: 2, mlpWidth: 64, iouHiddenWidth: 32))
        let configuration = name.hasPrefix("tiny") ? SegmentAnythingConfiguration.tiny : tinyViT
        let plan = name.contains("all") ? Self.full : Self.whole
        var adapted = AdaptedModel(
            configuration, PositiveVariances(), try Trainables(plan, in: ModelDescription(configuration)))
        let start = try #require(adapted.trained).values
        let noise = TestValues.uniform(start.count, "trained")
        adapted.trained?.values = Tensor(zip(start.elements, noise).map { $0 + 0.05 * $1 }, start.shape)
        let merged = try MergedWeights(
            adapted, into: PositiveVariances(), in: adapted.context(in: Workspace(threads: 1)))
        let plain = AdaptedModel(SegmentAnythingModel(configuration, merged))
        let base = AdaptedModel(SegmentAnythingModel(configuration, PositiveVariances()))
        let (expected, actual) = (try masks(adapted), try masks(plain))
        #expect(relativeL2Error(actual, expected) < 1e-5)
        #expect(relativeL2Error(try masks(base), expected) > 1e-2, "the adaptation changes nothing")
        let reverted = AdaptedModel(SegmentAnythingModel(configuration, merged.reverted))
        #expect(try masks(reverted).map(\.bitPattern) == masks(base).map(\.bitPattern))
    }

    /// Batch norms need variances above 0.
    private struct PositiveVariances: ParameterSource {
        func tensor(_ name: String, _ shape: Shape) -> Tensor {
            let values = NamedValues().tensor(name, shape)
            return name.hasSuffix("running_var") ? Tensor(values.elements.map { 1 + abs($0) }, shape) : values
        }
    }
}
