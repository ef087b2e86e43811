import Benchmarking
import Foundation
import Testing

/// The model of a step's time, with made-up numbers.
@Suite struct ScalingModelTests {
    private func isClose(_ a: Double, _ b: Double, _ tolerance: Double = 1e-9) -> Bool {
        abs(a - b) <= tolerance * max(abs(a), abs(b))
    }

    private func samples(_ network: Network, ranks: [Int], sizes: [Int], images: Int = 1) -> [ExchangeReport.Sample] {
        ranks.flatMap { count in
            sizes.map { size in
                let exchange = StepExchange(parameters: size, imagesPerRank: images)
                return .init(exchange: exchange, ranks: count, seconds: network.seconds(exchange, ranks: count, .tree))
            }
        }
    }

    @Test func bytesAndMessagesAreAsDocumented() {
        let exchange = StepExchange(parameters: 1000, imagesPerRank: 3, lossParts: 5)
        // 4 P (b + 1) (N - 1) / N with blocks of two and one image, and from each other rank 4 headers of 64 bytes and
        // 2 + 3 x 10 words.
        let floats = 4.0 * 1000 * 3 * 3 / 4
        let others = 3.0 * (256 + 256)
        #expect(
            [1, 2, 3, 4, 7, 8].map { StepExchange(parameters: 1, imagesPerRank: $0).vectors } == [1, 1, 2, 1, 3, 1])
        #expect(exchange.bytes(ranks: 4) == floats + others)
        #expect(exchange.bytes(ranks: 1) == 0)
        let tree = [1, 2, 3, 4, 5, 8, 1024].map { exchange.messages(ranks: $0, .tree) }
        #expect(tree == [0, 7, 14, 14, 21, 21, 70])
        let pairwise = [1, 2, 4, 1024].map { exchange.messages(ranks: $0, .pairwise) }
        #expect(pairwise == [0, 7, 16, 2096])
    }

    /// Results of earlier versions name no parts of a loss; their method had five.
    @Test func earlierResultsAreRead() throws {
        let exchange = StepExchange(parameters: 7, imagesPerRank: 2, lossParts: 3)
        #expect(try JSONDecoder().decode(StepExchange.self, from: JSONEncoder().encode(exchange)) == exchange)
        let earlier = Data(#"{"parameters": 7, "imagesPerRank": 2}"#.utf8)
        #expect(try JSONDecoder().decode(StepExchange.self, from: earlier).lossParts == 5)
        let network = #""network": {"latency": 1e-5, "secondsPerByte": 1e-9}"#
        let model = Data(#"{"computeSeconds": 2, "parameters": 7, \#(network)}"#.utf8)
        #expect(try JSONDecoder().decode(ScalingModel.self, from: model).lossParts == 5)
    }

    @Test(arguments: [(30e-6, 1e-9), (2e-6, 8e-11), (1e-3, 1e-7)])
    func theFitFindsTheNetwork(latency: Double, secondsPerByte: Double) throws {
        let network = Network(latency: latency, secondsPerByte: secondsPerByte)
        let fitted = try #require(
            Network.fit(samples(network, ranks: [1, 2, 4], sizes: [147_456, 1_179_648], images: 2)))
        #expect(isClose(fitted.latency, latency, 1e-6))
        #expect(isClose(fitted.secondsPerByte, secondsPerByte, 1e-6))
    }

    @Test func aFitHasNoNegativeNumber() throws {
        var rising = samples(Network(latency: 1e-5, secondsPerByte: 1e-9), ranks: [2], sizes: [100_000, 1_000_000])
        rising[0].seconds = 1e-5  // less than the bytes alone: the line through both would start below zero
        let first = try #require(Network.fit(rising))
        #expect(first.latency == 0 && first.secondsPerByte > 0)
        rising[0].seconds = 1  // the larger takes less time
        let second = try #require(Network.fit(rising))
        #expect(second.latency > 0 && second.secondsPerByte == 0)
    }

    @Test func oneRankOrOneSizeGivesNoNetwork() {
        let network = Network(latency: 1e-5, secondsPerByte: 1e-9)
        #expect(Network.fit(samples(network, ranks: [1], sizes: [1000, 100_000])) == nil)
        #expect(Network.fit(samples(network, ranks: [2], sizes: [1000])) == nil)
        #expect(Network.fit([]) == nil)
    }

    @Test func givenNumbersReplaceMeasuredOnes() {
        let network = Network(latency: 1e-5, secondsPerByte: 1e-9)
        let other = network.replacing(latencyMicroseconds: 2, gigabits: 100)
        #expect(isClose(other.latency, 2e-6) && isClose(other.secondsPerByte, 8e-11))
        #expect(network.replacing(latencyMicroseconds: nil, gigabits: nil) == network)
    }

    /// Also where ranks share cores, and where ranks have several images.
    @Test func theFitFindsTheComputeTime() throws {
        let truth = ScalingModel(
            computeSeconds: 0.75, network: Network(latency: 1e-3, secondsPerByte: 1e-8), parameters: 50_000)
        let points = [(1, 1, 1.0), (2, 2, 1.0), (4, 4, 0.5), (2, 4, 1.0), (3, 4, 0.66)].map { ranks, batch, bound in
            let work = ScalingPlan.Case(ranks: ranks, globalBatch: batch)
            return ScalingPoint(
                work: work, nodes: 1,
                secondsPerStep: truth.seconds(ranks: ranks, images: work.imagesOfBusiestRank, coreBound: bound),
                communication: 0, peerWait: nil, peakBytesPerRank: 0, bytesPerNode: nil, coreBound: bound)
        }
        let fitted = try #require(ScalingModel(fitting: points, network: truth.network, parameters: 50_000))
        #expect(isClose(fitted.computeSeconds, 0.75))
        // Exchanges that would take longer than the steps did.
        #expect(
            ScalingModel(fitting: points, network: Network(latency: 10, secondsPerByte: 0), parameters: 1) == nil)
    }

    @Test func predictionsFollowTheFormula() {
        let model = ScalingModel(
            computeSeconds: 1, network: Network(latency: 1e-3, secondsPerByte: 0), parameters: 100_000)
        let eight = model.prediction(nodes: 8, images: 1)
        #expect(isClose(eight.efficiency, 1 / 1.021) && isClose(eight.communication, 0.021 / 1.021))
        #expect(isClose(eight.pairwiseEfficiency, 1 / 1.029) && isClose(eight.pairwiseCommunication, 0.029 / 1.029))
        let one = model.prediction(nodes: 1, images: 4)
        #expect(one.efficiency == 1 && one.communication == 0)
        #expect(ScalingModel.predictedNodes == [8, 16, 32, 64, 128, 256, 512, 1024])
    }
}
