import Adapters
import Kernels
import Layers
import Machine
import SegmentAnything
import Tensors
import Testing
import TestSupport

/// The trivial adapters of this file, one for each kind of site.
private let toys = AdapterRegistry([
    ("block-vectors", { BlockVectors($0.blockSites, &$2) }),
    ("prompt-tokens", { PromptTokens(width: $0.configuration.decoder.width, &$2) }),
    ("output-token", { OutputToken(width: $0.configuration.decoder.width, tapWidth: $0.blockSites[1].width, &$2) }),
    ("encoder-tokens", { EncoderTokens(width: $0.blockSites[0].width, &$2) }),
    ("lora", { LoRA($0.projectionSites, rank: $1.rank, seed: $1.seed, &$2) }),
    ("hq", { HQDecoder($0, seed: $1.seed, &$2) }),
    (
        "sam-adapter",
        { model, options, places throws(AdapterError) in
            try SAMAdapter(model, seed: options.seed, reduction: 8, &places)
        }
    ),
])

/// Adds a vector of its own, times a shared one, to every block's input.
private struct BlockVectors: AdapterSet, BlockInputAdapter {
    let kind = "block-vectors"
    let parameters: [Parameter]

    init(_ sites: [BlockSite], _ places: inout ParameterPlaces) {
        let width = sites[0].width
        parameters =
            [places.parameter("shared", Tensor(repeating: 1, [width]))]
            + sites.map { places.parameter("\($0.name).vector", Tensor(zeros: [$0.width])) }
    }

    var blockInputs: (any BlockInputAdapter)? { self }

    func prepare(_ stem: EncoderStem, in context: PassContext) -> [Tensor] { [context.value(of: parameters[0])] }

    func forward(at site: BlockSite, _ shared: [Tensor], addingTo x: inout Tensor, in context: PassContext) {
        let (own, common) = (context.value(of: parameters[1 + site.index]).elements, shared[0].elements)
        let destination = x.mutablePointer
        for i in 0..<x.count { destination[i] += own[i % site.width] * common[i % site.width] }
    }

    func backward(
        at site: BlockSite, _ dX: Tensor, _ shared: [Tensor], addingTo dShared: inout [Tensor],
        gradients: inout GradientBuffer, in context: PassContext
    ) {
        var sums = Tensor(zeros: [site.width])
        LinearKernel.backwardBias(dX, into: &sums, in: context.workspace)
        let own = parameters[1 + site.index]
        func times(_ other: Tensor) -> Tensor {
            Tensor(zip(sums.elements, other.elements).map { $0 * $1 }, [site.width])
        }
        if let slot = context.slot(of: own) { gradients.add(times(shared[0]), at: slot) }
        let part = times(context.value(of: own))
        dShared = [
            Tensor(zip(dShared.first?.elements ?? part.elements.map { _ in 0 }, part.elements).map(+), part.shape)
        ]
    }

    func finish(
        _ dShared: [Tensor], _ shared: [Tensor], stem: EncoderStem, gradients: inout GradientBuffer,
        in context: PassContext
    ) {
        if let slot = context.slot(of: parameters[0]), let sum = dShared.first { gradients.add(sum, at: slot) }
    }
}

/// Two additional tokens for every prompt.
private struct PromptTokens: AdapterSet, PromptTokenAdapter {
    let kind = "prompt-tokens"
    let parameters: [Parameter]

    init(width: Int, _ places: inout ParameterPlaces) {
        parameters = [places.parameter("prompt.tokens", TestValues.uniform([2, width], "prompt tokens"))]
    }

    var promptTokens: (any PromptTokenAdapter)? { self }

    func tokens(for features: ImageFeatures, in context: PassContext) -> Tensor { context.value(of: parameters[0]) }

    func backward(
        _ dTokens: Tensor, features: ImageFeatures, gradients: inout GradientBuffer, in context: PassContext
    ) {
        if let slot = context.slot(of: parameters[0]) { gradients.add(dTokens, at: slot) }
    }
}

/// Three tokens that pass through the encoder.
private struct EncoderTokens: AdapterSet, TokenAdapter {
    let kind = "encoder-tokens"
    let parameters: [Parameter]

    init(width: Int, _ places: inout ParameterPlaces) {
        parameters = [places.parameter("encoder.tokens", TestValues.uniform([3, width], "encoder tokens"))]
    }

    var encoderTokens: (any TokenAdapter)? { self }

    func tokens(in context: PassContext) -> Tensor { context.value(of: parameters[0]) }

    func backward(_ dTokens: Tensor, gradients: inout GradientBuffer, in context: PassContext) {
        if let slot = context.slot(of: parameters[0]) { gradients.add(dTokens, at: slot) }
    }
}

/// An output token whose mask is pixels . (W token) + the mean over T of (tap . w).
private struct OutputToken: AdapterSet, OutputTokenAdapter {
    let kind = "output-token"
    let parameters: [Parameter]
    let taps = [TapSite.output(of: 1)]

    init(width: Int, tapWidth: Int, _ places: inout ParameterPlaces) {
        parameters = [
            places.parameter("output.token", TestValues.uniform([1, width], "output token")),
            places.parameter("output.head", TestValues.uniform([width / 8, width], "output head")),
            places.parameter("output.tap", TestValues.uniform([tapWidth], "output tap")),
        ]
    }

    var outputTokens: (any OutputTokenAdapter)? { self }

    func tokens(in context: PassContext) -> Tensor { context.value(of: parameters[0]) }

    func backward(tokens dTokens: Tensor, gradients: inout GradientBuffer, in context: PassContext) {
        if let slot = context.slot(of: parameters[0]) { gradients.add(dTokens, at: slot) }
    }

    private func head(_ context: PassContext) -> Linear { Linear(weight: parameters[1], bias: nil) }

    /// The mean over T of (tap . w). // [1]
    func prepare(_ features: ImageFeatures, in context: PassContext) -> [Tensor] {
        let tap = features.tap(taps[0])?.elements ?? []
        let weights = context.value(of: parameters[2]).elements
        let offset = tap.indices.reduce(Float(0)) { $0 + tap[$1] * weights[$1 % weights.count] }
        return [Tensor([offset / Float(tap.count / weights.count)], [1])]
    }

    func masks(_ outputs: Tensor, pixels: Tensor, shared: [Tensor], in context: PassContext) -> Tensor {
        let row = head(context)(outputs, in: context)
        let masks = FrozenMatrix(row).applied(to: pixels, in: context.workspace)
        return Tensor(masks.elements.map { $0 + shared[0][0] }, masks.shape)
    }

    func backward(
        masks dMasks: Tensor, outputs: Tensor, pixels: Tensor, shared: [Tensor], addingTo dShared: inout [Tensor],
        gradients: inout GradientBuffer, in context: PassContext
    ) -> (dOutputs: Tensor, dPixels: Tensor) {
        let row = head(context)(outputs, in: context)
        let dRow = FrozenMatrix(pixels).pulledBack(dMasks, in: context.workspace)
        head(context).backwardParameters(dRow, input: outputs, gradients: &gradients, in: context)
        dShared = [Tensor([(dShared.first?[0] ?? 0) + dMasks.elements.reduce(0, +)], [1])]
        let dPixels = FrozenMatrix(row).pulledBack(
            dMasks.reshaped([dMasks.count, 1]), in: context.workspace)
        return (head(context).backwardInput(dRow, in: context), dPixels)
    }

    func finish(
        _ dShared: [Tensor], features: ImageFeatures, addingTo dFeatures: inout FeatureGradients,
        gradients: inout GradientBuffer, in context: PassContext
    ) {
        let total = dShared[0][0]
        if let tap = features.tap(taps[0]), let slot = context.slot(of: parameters[2]) {
            let weights = context.value(of: parameters[2]).elements
            let rows = Float(tap.count / weights.count)
            var dTap = Tensor(uninitialized: [weights.count])
            LinearKernel.backwardBias(tap, into: &dTap, in: context.workspace)
            gradients.add(Tensor(dTap.elements.map { $0 * total / rows }, dTap.shape), at: slot)
            dFeatures.add(
                Tensor((0..<tap.count).map { weights[$0 % weights.count] * total / rows }, tap.shape), toTap: taps[0],
                in: context.workspace)
        }
    }
}

/// Every kind of site with a trivial adapter: its effect on the model, and its gradient.
@Suite struct AdapterSiteTests {
    private let workspace = Workspace(threads: 2)
    private let image = TestValues.uniform([128, 128, 3], "image")
    private let description = ModelDescription(.tiny)

    init() { BLASEnvironment.useSingleThread() }

    private func adapted(_ kinds: String...) throws -> AdaptedModel {
        let plan = TrainablePlan(adapters: kinds.map { .init($0) })
        var adapted = AdaptedModel(.tiny, NamedValues(), try Trainables(plan, in: description, registry: toys))
        let start = try #require(adapted.trained).values
        let noise = TestValues.uniform(start.count, "trained")
        adapted.trained?.values = Tensor(zip(start.elements, noise).map { $0 + 0.1 * $1 }, start.shape)
        return adapted
    }

    private func prompts(_ adapted: AdaptedModel) throws -> PromptEmbeddings {
        try adapted.model.promptEncoder.encode(
            PromptBatch(boxes: Tensor([4, 6, 70, 90, 10, 20, 60, 50, 30, 30, 80, 100], [3, 4])),
            in: adapted.context(in: workspace))
    }

    /// The sum of weighted outputs, and its gradient.
    private func objective(_ adapted: AdaptedModel) throws -> (value: Double, gradient: [Float]) {
        let context = adapted.context(in: workspace)
        let pass = adapted.model.encoder.encodeForTraining(image, in: context)
        let decoded = adapted.model.decoder.decodeForTraining(
            pass.features, position: adapted.model.promptEncoder.densePositionalEncoding,
            prompts: try prompts(adapted), in: context)
        let outputs = [decoded.logits, decoded.iou, decoded.masks.adapterLogits].compactMap(\.self)
        let weights = outputs.enumerated().map { TestValues.uniform($1.shape, "weights \($0)") }
        let value = zip(outputs, weights).reduce(0.0) { sum, pair in
            sum + zip(pair.0.elements, pair.1.elements).reduce(0.0) { $0 + Double($1.0) * Double($1.1) }
        }
        var gradients = GradientBuffer(adapted.layout)
        let dInputs = decoded.backward(
            MaskGradients(logits: weights[0], iou: weights[1], adapterLogits: weights.count > 2 ? weights[2] : nil),
            &gradients)
        pass.backward(dInputs.features, &gradients)
        return (value, gradients.values.elements)
    }

    /// The objective changes along the gradient of all parameters, and of each alone, as the gradient predicts.
    ///
    /// The decoder's ReLUs have kinks, which affect a small gradient more than a large one, hence two tolerances; a
    /// wrong sign, a missing or a doubled term is far beyond either.
    ///
    /// - Parameter reach: Factor on the steps; a head of one token needs short ones, for each of its ReLUs is met once,
    ///   and so does a convolution over whole patches, whose few numbers move every token.
    private func check(_ adapted: AdaptedModel, reach: Double = 1) throws {
        let gradient = try objective(adapted).gradient
        let values = try #require(adapted.trained).values.elements
        func compare(_ range: Range<Int>, tolerance: Double, _ label: String) throws {
            let length = gradient[range].reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot()
            try #require(length > 0, "\(label) has no gradient")
            let step = reach * (range.count == values.count ? 0.002 : 0.004) * Double(range.count).squareRoot()
            func moved(_ steps: Double) throws -> Double {
                var other = values
                for i in range { other[i] += Float(steps * step / length) * gradient[i] }
                var copy = adapted
                copy.trained?.values = Tensor(other, [other.count])
                return try objective(copy).value
            }
            // Differences over one and two steps leave an error of the fourth order in the step.
            let slope = (8 * (try moved(1) - moved(-1)) - (try moved(2) - moved(-2))) / (12 * step)
            #expect(abs(slope / length - 1) < tolerance, "\(label): slope \(slope), gradient \(length)")
        }
        try compare(0..<values.count, tolerance: 0.01, "all parameters")
        for entry in adapted.layout.entries { try compare(entry.range, tolerance: 0.06, entry.name) }
    }

    @Test(arguments: ["lora", "block-vectors", "prompt-tokens", "output-token", "hq", "sam-adapter"])
    func gradientsMeetDifferences(_ kind: String) throws {
        try check(try adapted(kind), reach: ["hq", "sam-adapter"].contains(kind) ? 0.1 : 1)
    }

    /// With pairs in the encoder, the early tokens' gradient reaches them through the decoder's branch.
    @Test func decoderBranchesReachTheEncoder() throws { try check(try adapted("hq", "lora"), reach: 0.1) }

    @Test func allAtOnce() throws {
        try check(try adapted("lora", "block-vectors", "prompt-tokens", "output-token", "sam-adapter"))
    }

    /// The same sets act without training if the context has no trained values.
    @Test func setsChosenForAnImage() throws {
        var places = ParameterPlaces(group: nil)
        let sets = [UInt64(1), 2].map { seed -> any AdapterSet in
            var set = LoRA(description.projectionSites, rank: 2, seed: seed, &places)
            set = LoRA(moving: set, by: 0.3)
            return set
        }
        let model = SegmentAnythingModel(.tiny, NamedValues())
        let base = PassContext(workspace)
        func embedding(_ sets: [any AdapterSet]) -> [Float] {
            model.encoder.encode(image, in: base.with(ActiveAdapters(sets))).embedding.elements
        }
        let (none, first, second) = (embedding([]), embedding([sets[0]]), embedding([sets[1]]))
        #expect(first != none && second != none && first != second)
        #expect(embedding(sets) != first && embedding(sets) != second)
        #expect(embedding([sets[0]]) == first, "an adapter that acted before leaves nothing behind")
        #expect(model.encoder.encode(image, in: base).embedding.elements == none)
    }

    @Test func outputTokensLeaveTheOthersInPlace() throws {
        let adapted = try adapted("output-token", "prompt-tokens")
        let context = adapted.context(in: workspace)
        let features = adapted.model.encoder.encode(image, in: context)
        #expect(features.taps.map(\.site) == [.output(of: 1)])
        let decoded = adapted.model.decoder.decode(
            features, position: adapted.model.promptEncoder.densePositionalEncoding, prompts: try prompts(adapted),
            masks: .multiple, in: context)
        #expect(decoded.logits.shape == [3, 3, 32, 32] && decoded.iou.shape == [3, 3])
        #expect(decoded.adapterLogits?.shape == [3, 1, 32, 32])
    }

    /// Backward stops at the lowest block with an active adapter, and no bit of the gradient changes.
    @Test func backwardEndsAtTheLowestAdaptedBlock() throws {
        func gradient(_ sites: [ProjectionSite], recompute: RecomputeLevel) -> [String: [Float]] {
            var places = ParameterPlaces(group: ParameterGroup("lora"))
            let set = LoRA(moving: LoRA(sites, rank: 2, seed: 1, &places), by: 0.1)
            let trainables = Trainables(layout: places.layout, adapters: [set])
            let model = SegmentAnythingModel(.tiny, NamedValues())
            let values = Tensor(set.parameters.flatMap(\.frozen.elements), [places.layout.count])
            let adapted = AdaptedModel(model, trainables, values: values)
            let pass = model.encoder.encodeForTraining(image, in: adapted.context(in: workspace, recompute: recompute))
            var gradients = GradientBuffer(places.layout)
            pass.backward(TestValues.uniform(pass.embedding.shape, "dE"), &gradients)
            return Dictionary(
                uniqueKeysWithValues: places.layout.entries.map {
                    ($0.name, gradients.values.rows($0.range).elements)
                })
        }
        let upper = Array(description.projectionSites.suffix(2))
        let plain = gradient(upper, recompute: .none)
        #expect(plain.count == 8 && plain.values.contains { $0.contains { $0 != 0 } })
        #expect(gradient(upper, recompute: .blocks) == plain)
    }

    // MARK: Tokens through the encoder

    @Test func tokensGoThroughTheEncoder() throws {
        let adapted = try adapted("encoder-tokens")
        let dTokens = TestValues.uniform([3, 32], "dTokens")
        func run(_ adapted: AdaptedModel) throws -> (value: Double, pass: AdapterTokenPass) {
            let context = adapted.context(in: workspace)
            let encoder = adapted.model.encoder
            let pass = try #require(
                try encoder.encodeTokensForTraining(encoder.stem(image, in: context), in: context))
            let value = zip(pass.tokens.elements, dTokens.elements).reduce(0.0) { $0 + Double($1.0) * Double($1.1) }
            return (value, pass)
        }
        var gradients = GradientBuffer(adapted.layout)
        try run(adapted).pass.backward(dTokens, &gradients)
        let gradient = gradients.values.elements
        let length = gradient.reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot()
        let values = try #require(adapted.trained).values.elements
        let step = 0.05
        func moved(_ sign: Double) throws -> Double {
            var copy = adapted
            copy.trained?.values = Tensor(
                zip(values, gradient).map { $0 + Float(sign * step / length) * $1 }, [values.count])
            return try run(copy).value
        }
        let slope = (try moved(1) - moved(-1)) / (2 * step)
        #expect(abs(slope / length - 1) < 2e-3, "slope \(slope), gradient \(length)")
        // Tokens attend to each other: without the others the first changes.
        let context = PassContext(workspace)
        let encoder = adapted.model.encoder
        let stem = encoder.stem(image, in: context)
        let none = try encoder.encodeTokens(stem, in: context)
        #expect(none.map(\.count) == nil)
        let trained = adapted.context(in: workspace)
        let forward = try encoder.encodeTokens(encoder.stem(image, in: trained), in: trained)
        #expect(
            forward?.elements == (try run(adapted).pass.tokens.elements), "a pass without residuals has the same bits")
        let alone = try encoder.encodeTokens(Tensor(Array(values.prefix(32)), [1, 32]), stem, in: context)
        #expect(alone.elements != Array(try run(adapted).pass.tokens.elements.prefix(32)))
    }

    @Test func tinyViTHasNoPlaceForTokens() {
        let configuration = TinyViTConfiguration(
            imageSize: 64, patchEmbedding: .strided, widths: [8, 16, 16, 32], depths: [1, 1, 1, 1],
            heads: [1, 2, 2, 4], windows: [3, 3, 5, 3], embeddingWidth: 32)
        let encoder = TinyViT(NamedValues(), configuration)
        let context = PassContext(workspace)
        let stem = encoder.stem(TestValues.uniform([64, 64, 3], "image"), in: context)
        let error = #expect(throws: SegmentAnythingError.self) {
            _ = try encoder.encodeTokens(Tensor(zeros: [1, 16]), stem, in: context)
        }
        #expect(error?.kind == .unsupported)
        #expect(throws: SegmentAnythingError.self) {
            _ = try encoder.encodeTokensForTraining(Tensor(zeros: [1, 16]), stem, in: context)
        }
    }
}

extension LoRA {
    /// The same pairs with every value moved by up to `spread`, so that they have an effect.
    fileprivate init(moving other: LoRA, by spread: Float) {
        self = other.mappingValues { index, values in
            let noise = TestValues.uniform(values.count, "moved \(index)")
            return Tensor(zip(values.elements, noise).map { $0 + spread * $1 }, values.shape)
        }
    }
}
