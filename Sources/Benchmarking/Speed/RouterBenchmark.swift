public import AdaptationMethods
public import Kernels
import Layers
import Planning
import Routing
public import SegmentAnything
import Tensors

/// What a router adds to a segmentation: a pooled query in the segmentation's own pass, MoDA's tokens in a second one.
///
/// A segmentation is the encoder's pass and the mask decoder with all prompts; reading the image and drawing the masks,
/// which a router does not change, are left out, so the shares are upper bounds.
public struct RouterBenchmark {
    /// Domains of the router, and memory images of each, as in the CoSAM benchmark.
    private static let (domains, memoryImages) = (8, 10)

    private let model: SegmentAnythingModel
    private let allGlobal: SegmentAnythingModel?
    private let example: AdaptationExample
    private let workspace: Workspace
    private let decoderChunk: Int

    /// - Parameters:
    ///   - allGlobal: The same weights with attention over the whole image in every block, with whose pass that of the
    ///     tokens is compared; nil for an encoder that has no such form.
    public init(
        _ model: SegmentAnythingModel, allGlobal: SegmentAnythingModel?, example: AdaptationExample,
        decoderChunk: Int, in workspace: Workspace
    ) {
        (self.model, self.allGlobal, self.example) = (model, allGlobal, example)
        (self.decoderChunk, self.workspace) = (decoderChunk, workspace)
    }

    /// The pieces of the pooled router, then those of the tokens. Throws `RoutingError` and `SegmentAnythingError`.
    public func pieces() throws -> [Benchmark.Piece] { try pooledPieces() + tokenPieces() }

    private func pooledPieces() throws -> [Benchmark.Piece] {
        let frozen = PassContext(workspace)
        let router = try router(.statistics)
        let stem = model.encoder.stem(example.weak, in: frozen)
        let features = model.encoder.encode(stem, router.request(in: model.configuration), in: frozen)
        let count = example.prompts.count
        let segmentation = "segmentation, \(count) prompt\(count == 1 ? "" : "s")"
        return [
            .init(segmentation) { try decode(model.encoder.encode(example.weak, in: frozen)) },
            .init("\(segmentation), pooled router", relativeTo: segmentation) {
                let stem = model.encoder.stem(example.weak, in: frozen)
                let features = model.encoder.encode(stem, router.request(in: model.configuration), in: frozen)
                _ = router.route(try router.feature(of: stem, features, in: model, workspace))
                try decode(features)
            },
            .init("pooled query and decision alone", relativeTo: segmentation) {
                _ = router.route(try router.feature(of: stem, features, in: model, workspace))
            },
        ]
    }

    private func tokenPieces() throws -> [Benchmark.Piece] {
        guard let allGlobal else { return [] }
        let frozen = PassContext(workspace)
        let router = try router(.tokens)
        let stem = model.encoder.stem(example.weak, in: frozen)
        let pass = "encoder pass, global in every block"
        return [
            .init(pass) { _ = allGlobal.encoder.encode(stem, EncoderRequest(), in: frozen) },
            .init("pass of the router's tokens, and decision", relativeTo: pass) {
                _ = router.route(
                    try router.feature(of: stem, model.encoder.encode(stem, in: frozen), in: model, workspace))
            },
        ]
    }

    private func decode(_ features: ImageFeatures) throws {
        let frozen = PassContext(workspace)
        for start in stride(from: 0, to: example.prompts.count, by: decoderChunk) {
            let chunk = try example.prompts.objects(start..<min(start + decoderChunk, example.prompts.count))
            _ = try model.logits(features, chunk, in: frozen)
        }
    }

    /// A router with a rule of rejection, trained for one epoch on seeded noise: decisions take the same time whatever it
    /// has learnt.
    private func router(_ query: RouterQuery) throws -> DomainRouter {
        let width = try query.width(in: ModelDescription(model.configuration))
        let labels = (0..<Self.domains * Self.memoryImages).map { $0 / Self.memoryImages }
        var generator = SeededGenerator(seed: 1, purpose: "benchmark router")
        let features = labels.map { label in (0..<width).map { _ in Float(generator.uniform(0, 1)) + Float(label) } }
        return try DomainRouter(
            query, tokens: query == .tokens ? RouterTokens(width: width, seed: 1) : nil,
            trainedOn: RouterMemory(features: features, labels: labels),
            domains: (0..<Self.domains).map { "domain \($0)" },
            RouterTraining(epochs: 1, learningRate: RouterTraining.standard(for: query).learningRate),
            rejectingBeyond: RejectionRule.standardDeviations)
    }
}
