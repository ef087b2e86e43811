import Adapters
import Kernels
import Layers
import Machine
import SegmentAnything
import Tensors
import Testing
import TestSupport
import WeightFiles

/// SAM-Adapter's adapter: the high-pass filter, its start, its parameters, its file, and what refuses it.
@Suite struct SAMAdapterTests {
    private static let plan = TrainablePlan(adapters: [.init(SAMAdapter.kind)])
    private static let description = ModelDescription(.tiny)
    private let image = TestValues.uniform([128, 128, 3], "image")

    init() { BLASEnvironment.useSingleThread() }

    private func adapted(identityStart: Bool = true) throws -> AdaptedModel {
        var options = AdapterOptions(seed: 3)
        options.samAdapter.identityStart = identityStart
        return AdaptedModel(.tiny, NamedValues(), try Trainables(Self.plan, in: Self.description, options))
    }

    private func embedding(_ adapted: AdaptedModel, threads: Int = 1) -> [Float] {
        adapted.model.encoder.encode(image, in: adapted.context(in: Workspace(threads: threads))).embedding.elements
    }

    /// Sizes that are a power of two, odd, and prime; the radius is a quarter of the side, rounded down.
    @Test(arguments: [4, 8, 12, 15, 17, 32]) func highPassMeetsItsDefinition(_ side: Int) {
        let image = TestValues.uniform([side, side, 3], "image")
        let whole = HighPassFilter(side: side).patches(of: image, patchSize: side, in: Workspace(threads: 2))
        for channel in 0..<3 {
            let plane = (0..<side * side).map { image[3 * $0 + channel] }
            let expected = HighPassReference.highPass(plane, side: side, radius: side / 4).map { Float($0) }
            let own = Array(whole.elements[channel * side * side..<(channel + 1) * side * side])
            expectClose(own, expected, relativeToMaximum: 2e-6, "side \(side), channel \(channel)")
        }
    }

    /// A patch has the values of its place, channel by channel and row by row.
    @Test func patchesAreRows() {
        let (side, patch) = (12, 4)
        let filter = HighPassFilter(side: side)
        let image = TestValues.uniform([side, side, 3], "image")
        let whole = filter.patches(of: image, patchSize: side, in: Workspace(threads: 1)).elements
        for threads in 1...3 {
            let rows = filter.patches(of: image, patchSize: patch, in: Workspace(threads: threads))
            #expect(rows.shape == [9, 48])
            for place in 0..<rows.count {
                let (token, column) = place.quotientAndRemainder(dividingBy: 48)
                let (channel, y) = (column / 16, token / 3 * patch + column / 4 % 4)
                #expect(rows[place] == whole[(channel * side + y) * side + token % 3 * patch + column % 4])
            }
        }
    }

    @Test func aFreshAdapterIsTheBaseModel() throws {
        let base = embedding(AdaptedModel(SegmentAnythingModel(.tiny, NamedValues())))
        #expect(try embedding(adapted()) == base)
        #expect(try embedding(adapted(identityStart: false)) != base)
    }

    @Test func publishedSizesAndStart() throws {
        var options = AdapterOptions(seed: 1)
        options.samAdapter.identityStart = false
        let trainables = try Trainables(Self.plan, in: ModelDescription(.vitB), options)
        #expect(trainables.layout.count == 63_312)
        let values = trainables.initialValues(weights: Tensor(zeros: [trainables.layout.count]))
        func deviation(_ name: String) throws -> Double {
            let slot = try #require(trainables.layout.slot(of: "image_encoder.prompt_generator." + name))
            let numbers = values.rows(slot.range).elements
            return (numbers.reduce(0.0) { $0 + Double($1) * Double($1) } / Double(numbers.count)).squareRoot()
        }
        #expect(abs(try deviation("shared_mlp.weight") / 0.02 - 1) < 0.03)
        #expect(abs(try deviation("embedding_generator.weight") / 0.02 - 1) < 0.03)
        #expect(abs(try deviation("lightweight_mlp_11.0.weight") / 0.02 - 1) < 0.15)
        let convolution = (2.0 / (16 * 16 * 24)).squareRoot()
        #expect(abs(try deviation("prompt_generator.proj.weight") / convolution - 1) < 0.03)
        for entry in trainables.layout.entries where entry.name.hasSuffix("bias") {
            #expect(values.rows(entry.range).elements.allSatisfy { $0 == 0 }, "\(entry.name)")
        }
    }

    @Test func threadsChangeNoBit() throws {
        let adapted = try adapted(identityStart: false)
        func gradient(_ threads: Int) -> [UInt32] {
            let context = adapted.context(in: Workspace(threads: threads))
            let pass = adapted.model.encoder.encodeForTraining(image, in: context)
            var gradients = GradientBuffer(adapted.layout)
            pass.backward(TestValues.uniform(pass.embedding.shape, "dE"), &gradients)
            return gradients.values.elements.map(\.bitPattern)
        }
        let one = gradient(1)
        #expect(one.contains { $0 != 0 })
        #expect(gradient(2) == one && gradient(3) == one)
        #expect(embedding(adapted, threads: 3) == embedding(adapted))
    }

    @Test func filesRoundTrip() throws {
        let folder = try TemporaryFolder("sam-adapter")
        let adapted = try adapted(identityStart: false)
        let path = folder.path + "/adapter.safetensors"
        let description = AdapterFile.Description(
            model: "tiny", imageSize: 128, baseDigest: "abc", preprocessing: "sam", step: 7, recipeDigest: "r")
        try AdapterFile.write(adapted, AdapterOptions(), description, to: path)
        let file = try AdapterFile(opening: path)
        #expect(file.kinds == ["sam-adapter"] && file.title == "adapters sam-adapter")
        let trainables = try file.trainables(in: Self.description)
        let again = AdaptedModel(
            SegmentAnythingModel(.tiny, NamedValues()), trainables,
            values: try file.values(of: trainables.layout, baseDigest: "abc"))
        #expect(embedding(again) == embedding(adapted))
    }

    @Test func whatRefusesIt() throws {
        let tinyViT = #expect(throws: AdapterError.self) {
            _ = try Trainables(Self.plan, in: ModelDescription(.mobileSAM))
        }
        #expect(tinyViT?.description.contains("choose the model vit_b, vit_l or vit_h") == true)
        let adapted = try adapted()
        let merged = #expect(throws: AdapterError.self) {
            _ = try MergedWeights(adapted, into: NamedValues(), in: adapted.context(in: Workspace(threads: 1)))
        }
        #expect(merged?.description == "adapter sam-adapter cannot be merged into the weights; keep it separate")
    }
}
