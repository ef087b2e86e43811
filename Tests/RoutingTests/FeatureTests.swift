import Kernels
import Layers
import Routing
import SegmentAnything
import Tensors
import Testing
import TestSupport

/// Weights that depend on the name and the index.
struct NamedWeights: ParameterSource {
    func tensor(_ name: String, _ shape: Shape) -> Tensor {
        var generator = SeededGenerator(seed: 5, purpose: name)
        let low = name.hasSuffix("running_var") ? 0.5 : -0.5
        return Tensor((0..<shape.count).map { _ in Float(generator.uniform(low, 0.6)) }, shape)
    }
}

extension SegmentAnythingConfiguration {
    /// A TinyViT of a few thousand parameters.
    static let smallTinyViT = SegmentAnythingConfiguration(
        encoder: .tinyViT(
            TinyViTConfiguration(
                imageSize: 64, patchEmbedding: .strided, widths: [8, 16, 24, 32], depths: [1, 1, 2, 1],
                heads: [1, 2, 2, 4], windows: [3, 3, 5, 3], embeddingWidth: 40)),
        decoder: MaskDecoderConfiguration(width: 40, heads: 2, mlpWidth: 64, iouHiddenWidth: 32))
}

@Suite struct FeatureStandardisationTests {
    @Test func zeroMeanAndUnitDeviation() {
        let (features, _) = TestQueries.memory(domains: 3, each: 7)
        let scaled = features.map { feature in feature.enumerated().map { $1 * Float($0 + 1) * 100 - 7 } }
        let standardise = FeatureStandardisation(over: scaled)
        let values = scaled.map(standardise.callAsFunction)
        for channel in 0..<6 {
            let column = values.map { Double($0[channel]) }
            let mean = column.reduce(0, +) / 21
            #expect(abs(mean) < 1e-6)
            #expect(abs(column.reduce(0) { $0 + $1 * $1 } / 21 - 1) < 1e-5)
        }
    }

    /// The mean of equal values differs from them by rounding, which must not become a deviation.
    @Test func aChannelWithoutDeviationStaysZero() {
        let features = (0..<10).map { [0.1, Float($0)] }
        let standardise = FeatureStandardisation(over: features)
        #expect(standardise.deviation[0] == 0 && standardise.deviation[1] > 2)
        #expect(features.allSatisfy { standardise($0)[0] == 0 })
        #expect(standardise([123, 4.5]) == [0, 0])
    }
}

@Suite struct PooledFeatureQueryTests {
    private let context = PassContext(Workspace(threads: 2))

    @Test(arguments: [SegmentAnythingConfiguration.tiny, .smallTinyViT])
    func meansOfEarlyFeaturesAndEmbedding(_ configuration: SegmentAnythingConfiguration) throws {
        let encoder = SegmentAnythingModel(configuration, NamedWeights()).encoder
        let side = configuration.imageSize
        let stem = encoder.stem(TestValues.uniform([side, side, 3], "image"), in: context)
        let early = try #require(PooledFeatureQuery(.earlyFeatures, in: configuration))
        let embedding = try #require(PooledFeatureQuery(.embedding, in: configuration))
        let features = encoder.encode(stem, early.request(), in: context)
        let tap = try #require(features.tap(configuration.earlyTap))
        func mean(_ x: Tensor) -> [Double] {
            let width = x.shape[1]
            return (0..<width).map { column in
                stride(from: column, to: x.count, by: width).reduce(0.0) { $0 + Double(x[$1]) }
                    / Double(x.count / width)
            }
        }
        #expect(early.feature(of: features) == mean(tap).map(Float.init))
        #expect(embedding.feature(of: features) == mean(features.embedding).map(Float.init))
        let statistics = try #require(PooledFeatureQuery(.statistics, in: configuration)).feature(of: features)
        let expected = [tap, features.embedding].flatMap { x in
            let centre = mean(x)
            let width = centre.count
            var squares = [Double](repeating: 0, count: width)
            for (i, value) in x.elements.enumerated() {
                squares[i % width] += (Double(value) - centre[i % width]) * (Double(value) - centre[i % width])
            }
            return centre + squares.map { ($0 / Double(x.count / width)).squareRoot() }
        }
        expectClose(statistics, expected.map(Float.init), relativeToMaximum: 1e-6, "statistics")
        let description = ModelDescription(configuration)
        #expect(try RouterQuery.earlyFeatures.width(in: description) == tap.shape[1])
        #expect(try RouterQuery.embedding.width(in: description) == features.embedding.shape[1])
        #expect(try RouterQuery.statistics.width(in: description) == statistics.count)
        // Reading the query changes nothing of the segmentation's pass.
        let plain = encoder.encode(stem, EncoderRequest(), in: context).embedding
        #expect(plain.elements.map(\.bitPattern) == features.embedding.elements.map(\.bitPattern))
    }

    @Test func requestsAddToThoseOfThePass() throws {
        let query = try #require(PooledFeatureQuery(.earlyFeatures, in: .tiny))
        let tap = SegmentAnythingConfiguration.tiny.earlyTap
        #expect(query.request().taps == [tap])
        #expect(query.request(beside: EncoderRequest(taps: [.output(of: 3)])).taps == [tap, .output(of: 3)])
        #expect(query.request(beside: EncoderRequest(taps: [tap])).taps == [tap])
        let embedding = try #require(PooledFeatureQuery(.embedding, in: .tiny))
        #expect(embedding.request().taps.isEmpty && PooledFeatureQuery(.tokens, in: .tiny) == nil)
    }

    @Test func queriesOfModels() throws {
        #expect(RouterQuery.standard(for: .vitB) == .tokens && RouterQuery.standard(for: .mobileSAM) == .statistics)
        #expect(try RouterQuery.tokens.width(in: ModelDescription(.tiny)) == 32)
        let error = #expect(throws: RoutingError.self) {
            try RouterQuery.tokens.width(in: ModelDescription(.smallTinyViT))
        }
        #expect(error?.kind == .query && error?.description.contains("use the query statistics") == true)
    }
}
