import Kernels
import Layers
import Machine
import Routing
import SegmentAnything
import Tensors
import Testing
import TestSupport

@Suite struct RouterTokensTests {
    private let workspace = Workspace(threads: 2)
    private let model = SegmentAnythingModel(.tiny, NamedWeights())
    private var context: PassContext { PassContext(workspace) }

    init() { BLASEnvironment.useSingleThread() }

    private func stem(_ purpose: String) -> EncoderStem {
        model.encoder.stem(TestValues.uniform([128, 128, 3], purpose), in: context)
    }

    @Test func startOfTheTokens() {
        let tokens = RouterTokens(width: 768, seed: 7)
        #expect(tokens.values.shape == [1, 10, 768] && tokens.values.count == 7680)
        let values = tokens.values.elements.map(Double.init)
        let mean = values.reduce(0, +) / 7680
        #expect(abs(mean) < 0.05 && abs(values.reduce(0) { $0 + $1 * $1 } / 7680 - 1) < 0.06)
        #expect(RouterTokens(width: 768, seed: 7).values.elements == tokens.values.elements)
        #expect(RouterTokens(width: 768, seed: 8).values.elements != tokens.values.elements)
    }

    /// The first of the tokens after the last block, which differs from image to image; the segmentation's pass does
    /// not see them.
    @Test func queryOfAnImage() throws {
        let tokens = RouterTokens(width: 32, seed: 1)
        let (first, second) = (stem("first"), stem("second"))
        let feature = try tokens.feature(of: first, in: model.encoder, workspace)
        let all = try model.encoder.encodeTokens(tokens.tokens(in: context), first, in: context)
        #expect(all.shape == [10, 32] && feature == Array(all.elements.prefix(32)))
        #expect(try tokens.feature(of: second, in: model.encoder, workspace) != feature)
        let active = context.with(ActiveAdapters([tokens]))
        #expect(
            model.encoder.encode(first, in: active).embedding.elements
                == model.encoder.encode(first, in: context).embedding.elements)
    }

    /// ViT-B with 4106 rows: forward holds some layers of one block, training the input of each block beside; neither
    /// the 800 MB of all heads' scores.
    @Test func memoryOfAPass() throws {
        func peak(_ body: (any ImageEncoder, Workspace, EncoderStem) throws -> Void) throws -> Int {
            let pool = StoragePool()
            return try StoragePool.$rehearsal.withValue(pool) {
                let workspace = Workspace(rehearsing: 2)
                let encoder = SegmentAnythingModel(.vitB, Unwritten()).encoder
                let stem = encoder.stem(Tensor(uninitialized: [1024, 1024, 3]), in: PassContext(workspace))
                let before = pool.figures.live
                pool.resetPeaks()
                try body(encoder, workspace, stem)
                return pool.figures.peakLive - before
            }
        }
        let tokens = RouterTokens(width: 768, seed: 1)
        let row = 4106 * 768 * 4
        let forward = try peak { _ = try tokens.feature(of: $2, in: $0, $1) }
        #expect(forward < 9 * row, "\(forward / row) layers of one width")
        let training = try peak { encoder, workspace, stem in
            let state = RouterState(tokens, RouterHead(width: 768, domains: 2, seed: 1))
            _ = try state.contribution(of: stem, label: 0, in: encoder, workspace)
        }
        #expect(training < 12 * row + 24 * row, "\(training / row) layers of one width")
    }

    /// Weights without meaning, whose pages are never touched.
    private struct Unwritten: ParameterSource {
        func tensor(_ name: String, _ shape: Shape) -> Tensor { Tensor(uninitialized: shape) }
        func derived(_ name: String, _ shape: Shape, _ make: () -> Tensor) -> Tensor { Tensor(uninitialized: shape) }
    }

    /// The loss changes along the gradient of the tokens as it predicts.
    @Test func gradientOfTheTokens() throws {
        let stem = stem("image")
        let tokens = RouterTokens(width: 32, seed: 2)
        let head = RouterHead(width: 32, domains: 3, seed: 5)
        let part = try RouterState(tokens, head).contribution(of: stem, label: 1, in: model.encoder, workspace)
        #expect(part.feature == (try tokens.feature(of: stem, in: model.encoder, workspace)))
        let length = part.dTokens.reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot()
        try #require(length > 0)
        func loss(_ steps: Double) throws -> Double {
            let moved = zip(tokens.values.elements, part.dTokens).map { $0 + Float(steps * 0.05 / length) * $1 }
            let feature = try RouterTokens(values: Tensor(moved, tokens.values.shape))
                .feature(of: stem, in: model.encoder, workspace)
            return head.loss(feature, label: 1).loss
        }
        let slope = (8 * (try loss(1) - loss(-1)) - (try loss(2) - loss(-2))) / (12 * 0.05)
        #expect(abs(slope / length - 1) < 2e-3, "slope \(slope), gradient \(length)")
    }

    @Test func trainingMovesTokensAndHead() throws {
        // Bright images and dark ones.
        let labels = [0, 1, 0, 1]
        let images = labels.enumerated().map { index, label in
            let noise = TestValues.uniform(128 * 128 * 3, "image \(index)")
            return model.encoder.stem(
                Tensor(noise.map { 0.3 * $0 + (label == 0 ? 1.5 : -1.5) }, [128, 128, 3]), in: context)
        }
        let start = RouterTokens(width: 32, seed: 2)
        let training = RouterTraining(epochs: 12, batch: 2, learningRate: 1e-2, seed: 3)
        func train() throws -> (tokens: RouterTokens, head: RouterHead, losses: [Double]) {
            try training.trainTokens(labels: labels, domains: 2, from: start) { batch, state in
                try batch.map {
                    try state.contribution(of: images[$0], label: labels[$0], in: model.encoder, workspace)
                }
            }
        }
        let (tokens, head, losses) = try train()
        #expect(losses.count == 24 && losses[22] + losses[23] < losses[0] + losses[1])
        #expect(zip(tokens.values.elements, start.values.elements).allSatisfy { $0 != $1 })
        for (image, label) in zip(images, labels) {
            let feature = try tokens.feature(of: image, in: model.encoder, workspace)
            #expect(RouterHead.best(head.logits(feature)) == label)
        }
        let again = try train()
        #expect(again.tokens.values.elements == tokens.values.elements && again.head == head)
    }
}
