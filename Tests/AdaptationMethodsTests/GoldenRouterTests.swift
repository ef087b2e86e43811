import Kernels
import Layers
import Routing
import SegmentAnything
import Tensors
import Testing
import TestSupport
import WeightFiles

/// MoDA's router against the official code: tokens of every block, queries, scores, and steps of training.
@Suite struct GoldenRouterTests {
    private let golden: GoldenMoDA
    private var table: TensorTable { golden.table }
    private var workspace: Workspace { golden.workspace }
    private var encoder: any ImageEncoder { golden.model.encoder }

    init() throws { golden = try GoldenMoDA() }

    private var tokens: RouterTokens {
        get throws {
            RouterTokens(
                values: try table.tensor(
                    "router.weights.cls_token", shape: [1, golden.configuration.tokens, golden.sizes.dim]))
        }
    }

    /// The head stored under `PREFIX.weight` and `PREFIX.bias`.
    private func head(_ prefix: String = "router.weights.classifier_head.0") throws -> RouterHead {
        RouterHead(
            weight: try table.tensor("\(prefix).weight", shape: [nil, golden.sizes.dim]),
            bias: try table.tensor("\(prefix).bias"))
    }

    private var labels: [Int] { get throws { try table.integers("router.in.domain") } }

    /// 8-bit samples with SAM's normalisation. // [3, S, S] -> [S, S, 3]
    private func normalised(_ samples: [UInt8]) -> Tensor {
        let (mean, deviation): ([Float], [Float]) = ([123.675, 116.28, 103.53], [58.395, 57.12, 57.375])
        let side = golden.sizes.img
        let area = side * side
        return Tensor(
            (0..<3 * area).map { (Float(samples[$0 % 3 * area + $0 / 3]) - mean[$0 % 3]) / deviation[$0 % 3] },
            [side, side, 3])
    }

    /// The image of a batch stored as 8-bit samples. // [S, S, 3]
    private func image(_ index: Int) throws -> Tensor {
        let size = 3 * golden.sizes.img * golden.sizes.img
        return normalised(Array(try table.bytes("router.in.image_u8")[index * size..<(index + 1) * size]))
    }

    /// The lowest blocks of the encoder.
    private func encoder(depth: Int) throws -> ImageEncoderViT {
        let sizes = golden.sizes
        var configuration = ImageEncoderViTConfiguration(
            width: sizes.dim, depth: depth, heads: sizes.heads, globalBlocks: sizes.glob.filter { $0 < depth })
        (configuration.imageSize, configuration.window) = (sizes.img, sizes.window)
        configuration.embeddingWidth = sizes.ed
        let recorder = ParameterRecorder()
        _ = ImageEncoderViT(recorder, configuration: configuration)
        let weights = ParameterStore(try Golden.weights(of: table, recorder.requests))
        return ImageEncoderViT(weights, configuration: configuration)
    }

    @Test func tokensAndImageAfterEveryBlock() throws {
        let (tokens, count) = (try tokens, golden.configuration.tokens)
        let context = PassContext(workspace)
        let start = tokens.tokens(in: context)
        for depth in 1...golden.sizes.depth {
            let encoder = try encoder(depth: depth)
            let image: String? = depth == 1 ? "block0.image" : depth == golden.sizes.depth ? "last.image" : nil
            for index in try labels.indices {
                let stem = encoder.stem(try self.image(index), in: context)
                let own = index..<index + 1
                expectClose(
                    try encoder.encodeTokens(start, stem, in: context).elements,
                    try table.tensor("router.out.block\(depth - 1).tokens").rows(own).elements,
                    "tokens after block \(depth - 1), image \(index)")
                guard let image else { continue }
                // All rows as tokens, none left in the image: the order of the sequence is the same.
                let all = Tensor(start.elements + stem.tokens.elements, [count + stem.tokens.shape[0], tokens.width])
                let none = EncoderStem(image: stem.image, tokens: Tensor(zeros: [0, tokens.width]))
                let rows = try encoder.encodeTokens(all, none, in: context)
                expectClose(
                    rows.rows(count..<rows.shape[0]).elements,
                    try table.tensor("router.out.\(image)").rows(own).elements, "\(image) \(index)")
            }
        }
    }

    /// Our queries of all images.
    private func features() throws -> [[Float]] {
        let (tokens, context) = (try tokens, PassContext(workspace))
        return try labels.indices.map {
            try tokens.feature(of: encoder.stem(try image($0), in: context), in: encoder, workspace)
        }
    }

    @Test func queriesScoresAndLoss() throws {
        let (features, head) = (try features(), try head())
        expectClose(features.flatMap(\.self), try table.tensor("router.out.feature").elements, "feature")
        let logits = features.flatMap { head.logits($0).map(Float.init) }
        expectClose(logits, try table.tensor("router.out.logits").elements, "logits")
        let loss = head.meanLoss(features, labels: try labels).loss
        let expected = Double(try table.number("router.out.loss"))
        #expect(abs(loss - expected) <= 1e-5 * expected, "loss \(loss), expected \(expected)")
    }

    /// ||ours - reference|| <= 1e-3 ||reference - start||.
    private func expectStep(_ values: [Float], _ start: [Float], _ reference: [Float], _ label: String) {
        func distance(_ other: [Float]) -> Double {
            zip(reference, other).reduce(0.0) { $0 + (Double($1.0) - Double($1.1)) * (Double($1.0) - Double($1.1)) }
                .squareRoot()
        }
        #expect(distance(values) <= 1e-3 * distance(start), "\(label): \(distance(values) / distance(start))")
    }

    /// Loss and gradient of the head in a step, and its values after the step.
    private func expectHead(
        _ step: String, _ measured: (loss: Double, gradient: [Float]), before: RouterHead, after: RouterHead
    ) throws {
        let expected = Double(try table.number("\(step).loss"))
        #expect(
            abs(measured.loss - expected) <= 1e-5 * expected, "\(step): loss \(measured.loss), expected \(expected)")
        let weights = before.domains * before.width
        func compare(_ name: String, _ range: Range<Int>) throws {
            let gradient = try table.tensor("\(step).grad.classifier_head.0.\(name)")
            expectRelativeL2(Tensor(Array(measured.gradient[range]), gradient.shape), gradient, "\(step) \(name)")
            expectStep(
                Array(after.values[range]), Array(before.values[range]),
                try table.tensor("\(step).after.classifier_head.0.\(name)").elements, "\(step) \(name)")
        }
        try compare("weight", 0..<weights)
        try compare("bias", weights..<weights + before.domains)
    }

    @Test func stepsWithFrozenTokens() throws {
        let (features, labels) = (try features(), try labels)
        var head = try head()
        var adam = RouterTraining.adam(count: head.values.count)
        for step in 0..<2 {
            let before = head
            let measured = head.meanLoss(features, labels: labels)
            adam.update(&head.values, gradient: measured.gradient, rate: golden.configuration.router_lr)
            try expectHead("router.frozen.step\(step)", measured, before: before, after: head)
        }
    }

    @Test func stepsWithTrainedTokens() throws {
        let labels = try labels
        let context = PassContext(workspace)
        let stems = try labels.indices.map { encoder.stem(try image($0), in: context) }
        var state = RouterState(try tokens, try head())
        for step in 0..<2 {
            let (name, before) = ("router.trained.step\(step)", state)
            let parts = try zip(stems, labels).map {
                try state.contribution(of: $0, label: $1, in: encoder, workspace)
            }
            let measured = before.head.meanLoss(parts.map(\.feature), labels: labels)
            let loss = try state.step(parts, labels: labels, learningRate: golden.configuration.router_lr)
            #expect(loss == measured.loss)
            try expectHead(name, measured, before: before.head, after: state.head)
            let gradient = try table.tensor("\(name).grad.cls_token")
            expectRelativeL2(Tensor(RouterState.mean(parts.map(\.dTokens)), gradient.shape), gradient, "\(name) tokens")
            expectStep(
                state.tokens.elements, before.tokens.elements, try table.tensor("\(name).after.cls_token").elements,
                "\(name) tokens")
        }
    }

    /// 8-bit samples of any size, resized to the model's input as the reference does: bilinear without antialiasing, then
    /// truncated. // [3, h, w] -> [3, S, S]
    private func resized(_ name: String) throws -> [UInt8] {
        let shape = try table.shape(name, fitting: [3, nil, nil])
        let side = golden.sizes.img
        var resized = Tensor(uninitialized: [3, side, side])
        let source = Tensor(try table.bytes(name).map(Float.init), Shape(shape))
        BilinearResizeKernel.forward(source, into: &resized, in: workspace)
        return resized.elements.map { UInt8($0) }
    }

    @Test func routingOfTheTestPath() throws {
        let (tokens, head) = (try tokens, try head("pool.head.0"))
        let context = PassContext(workspace)
        let domains = try table.integers("pool.out.domain")
        for (index, domain) in domains.enumerated() {
            let samples = try resized("pool.in\(index).image_u8")
            if table["pool.in\(index).resized_u8"] != nil {
                let reference = try table.bytes("pool.in\(index).resized_u8")
                let different = zip(samples, reference).filter { $0 != $1 }
                #expect(
                    different.count * 1000 <= reference.count, "\(different.count) samples of image \(index) differ")
                #expect(different.allSatisfy { abs(Int($0) - Int($1)) == 1 })
            }
            let feature = try tokens.feature(
                of: encoder.stem(normalised(samples), in: context), in: encoder, workspace)
            expectClose(feature, try table.tensor("pool.out\(index).feature").elements, "feature of image \(index)")
            let logits = head.logits(feature)
            expectClose(
                logits.map(Float.init), try table.tensor("pool.out\(index).scores").elements, "scores of image \(index)"
            )
            #expect(RouterHead.best(logits) == domain, "image \(index)")
        }
    }
}
