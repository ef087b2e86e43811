import Datasets
import Testing

@Suite struct SamplerTests {
    @Test func splitOfThirteenBySixToOne() {
        let (training, evaluation) = KToOneSplit(k: 6).apply(count: 13)
        #expect(training == [0, 1, 2, 3, 4, 5, 7, 8, 9, 10, 11, 12])
        #expect(evaluation == [6])
    }

    @Test(arguments: [(6, 5000, 4286, 714), (5, 1000, 834, 166), (4, 2026, 1621, 405), (6, 111, 96, 15)])
    func splitSizes(k: Int, count: Int, training: Int, evaluation: Int) {
        let split = KToOneSplit(k: k).apply(count: count)
        #expect((split.training.count, split.evaluation.count) == (training, evaluation))
    }

    @Test func seededAndLimitedSplits() {
        let split = KToOneSplit(k: 2, limit: 6, seed: 9).apply(count: 50)
        #expect(split.training.count == 4 && split.evaluation.count == 2)
        #expect(Set(split.training + split.evaluation).count == 6)
        #expect(split == KToOneSplit(k: 2, limit: 6, seed: 9).apply(count: 50))
        #expect(split != KToOneSplit(k: 2, limit: 6, seed: 10).apply(count: 50))
        #expect(KToOneSplit(k: 2, limit: 4).apply(count: 50) == ([0, 1, 3], [2]))
    }

    @Test func batchesDoNotDependOnTheWorldSize() {
        let sampler = ShardedSampler(sampleCount: 23, globalBatch: 5, seed: 77)
        #expect(sampler.stepsPerEpoch == 5)
        for worldSize in [1, 2, 3, 7] {
            let all = (0..<worldSize).flatMap { rank in
                Array(sampler.requests(rank: rank, worldSize: worldSize, epochs: 3))
            }
            #expect(all.count == 3 * 23)
            for epoch in 0..<3 {
                for step in 0..<5 {
                    let batch = all.filter { $0.epoch == epoch && $0.step == step }.sorted { $0.position < $1.position }
                    #expect(batch.map(\.position) == Array(0..<(step == 4 ? 3 : 5)))
                    #expect(batch.map(\.sampleIndex) == sampler.batch(epoch: epoch, step: step))
                }
                let visited = all.filter { $0.epoch == epoch }.map(\.sampleIndex)
                #expect(visited.sorted() == Array(0..<23))
            }
        }
        #expect(sampler.order(epoch: 0) != sampler.order(epoch: 1))
    }

    @Test func seekingContinuesTheSameSchedule() {
        let sampler = ShardedSampler(sampleCount: 23, globalBatch: 5, seed: 77)
        let whole = Array(sampler.requests(rank: 1, worldSize: 2, epochs: 3))
        let rest = Array(sampler.requests(rank: 1, worldSize: 2, fromEpoch: 1, step: 3, epochs: 3))
        #expect(rest == whole.filter { ($0.epoch, $0.step) >= (1, 3) })
        // The step after an epoch's last is the next epoch's first.
        let boundary = Array(sampler.requests(rank: 1, worldSize: 2, fromEpoch: 0, step: 5, epochs: 3))
        #expect(boundary == whole.filter { $0.epoch >= 1 })
    }

    @Test func sharesDifferByAtMostOne() {
        for worldSize in 1...9 {
            for size in 1...12 {
                let shares = (0..<worldSize).map {
                    ShardedSampler.share(rank: $0, worldSize: worldSize, batchSize: size)
                }
                #expect(shares.flatMap { Array($0) } == Array(0..<size))
                let counts = shares.map(\.count)
                #expect((counts.max() ?? 0) - (counts.min() ?? 0) <= 1)
            }
        }
    }
}
