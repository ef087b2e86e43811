import Datasets
import DatasetTestSupport
import Imaging
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
                Array(sampler.requests(rank: rank, nodeOfRank: [Int](repeating: 0, count: worldSize), epochs: 3))
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
        let whole = Array(sampler.requests(rank: 1, nodeOfRank: [0, 0], epochs: 3))
        let rest = Array(sampler.requests(rank: 1, nodeOfRank: [0, 0], fromEpoch: 1, step: 3, epochs: 3))
        #expect(rest == whole.filter { ($0.epoch, $0.step) >= (1, 3) })
        // The step after an epoch's last is the next epoch's first.
        let boundary = Array(sampler.requests(rank: 1, nodeOfRank: [0, 0], fromEpoch: 0, step: 5, epochs: 3))
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

/// The rank that computes each image of a batch.
@Suite struct DealingTests {
    @Test func onOneNodeImagesAreDealtByPlace() {
        #expect(ShardedSampler.deal([9, 4, 7, 1, 3], nodeOfRank: [0, 0]) == [[0, 1], [2, 3, 4]])
    }

    /// A share of 3 is a pair and a single image, the pairs first.
    @Test func sharesAreAlignedBlocks() {
        let batch = Array(0..<8)
        #expect(ShardedSampler.deal(batch, nodeOfRank: [0, 0, 0]) == [[0, 1], [2, 3, 6], [4, 5, 7]])
        for ranks in 1...9 {
            for size in 1...40 {
                let dealt = ShardedSampler.deal(Array(0..<size), nodeOfRank: [Int](repeating: 0, count: ranks))
                for share in dealt {
                    // The fewest powers of two that add up to the share, each at a multiple of itself.
                    var rest = share[...]
                    for bit in (0..<8).reversed() where share.count >> bit & 1 == 1 {
                        let block = rest.prefix(1 << bit)
                        #expect(block.first.map { $0 % (1 << bit) } == 0)
                        #expect(Array(block) == (0..<1 << bit).map { (block.first ?? 0) + $0 })
                        rest = rest.dropFirst(1 << bit)
                    }
                    #expect(rest.isEmpty)
                }
            }
        }
    }

    /// Homes by image mod 4: node 0, 0, 1, 1. The pair of images 6 and 3 is at home on node 1, and so is half of 2 and 4;
    /// of 0 and 5, and of 9 and 8, all are at home on node 0.
    @Test func blocksGoWhereMostOfThemIsAtHome() {
        let nodes = [0, 0, 1, 1]
        let dealt = ShardedSampler.deal([2, 4, 0, 5, 6, 3, 9, 8], nodeOfRank: nodes, unit: .block)
        #expect(dealt == [[2, 3], [6, 7], [0, 1], [4, 5]])
        // All at home on node 1, which has capacity for two pairs.
        let crowd = ShardedSampler.deal([2, 3, 6, 7, 10, 11, 14, 15], nodeOfRank: nodes, unit: .block)
        #expect(crowd == [[4, 5], [6, 7], [0, 1], [2, 3]])
        // Without a block of more than one image, blocks are images.
        #expect(ShardedSampler.deal([2, 6, 3, 4], nodeOfRank: nodes, unit: .block) == [[2], [3], [0], [1]])
    }

    @Test func onSeveralNodesImagesGoHomeWhileThereIsRoom() {
        // Homes by image mod 4: node 0, 0, 1, 1. Images 2, 6, 3 are at home on node 1, which has capacity for two.
        #expect(ShardedSampler.deal([2, 6, 3, 4], nodeOfRank: [0, 0, 1, 1]) == [[2], [3], [0], [1]])
    }

    @Test func everyPositionIsDealtOnceAndSharesKeepTheirSizes() {
        for nodes in [[0, 0, 1, 1], [0, 1, 0, 1, 2], [0, 0, 0, 1], [0, 0, 0]] {
            for size in 1...19 {
                let batch = (0..<size).map { ($0 * 7 + 3) % 23 }
                for unit in [ShardedSampler.Unit.image, .block] {
                    let dealt = ShardedSampler.deal(batch, nodeOfRank: nodes, unit: unit)
                    #expect(dealt.flatMap { $0 }.sorted() == Array(0..<size))
                    #expect(
                        dealt.map(\.count)
                            == nodes.indices.map {
                                ShardedSampler.share(rank: $0, worldSize: nodes.count, batchSize: size).count
                            })
                    #expect(dealt.allSatisfy { $0 == $0.sorted() })
                }
            }
        }
    }

    @Test func mostImagesMeetTheSameNodeAgain() {
        let sampler = ShardedSampler(sampleCount: 64, globalBatch: 16, seed: 3)
        func stays(_ nodes: [Int], _ unit: ShardedSampler.Unit = .image) -> Double {
            let homes = (0..<6).map { epoch in
                var node = [Int](repeating: -1, count: 64)
                for rank in 0..<4 {
                    for request in sampler.requests(
                        rank: rank, nodeOfRank: nodes, unit: unit, fromEpoch: epoch, epochs: epoch + 1)
                    {
                        node[request.sampleIndex] = rank / 2
                    }
                }
                return node
            }
            let pairs = zip(homes, homes.dropFirst()).flatMap { zip($0, $1).map { $0 == $1 } }
            return Double(pairs.count { $0 }) / Double(pairs.count)
        }
        #expect(stays([0, 0, 1, 1]) > 0.75)
        #expect(stays([0, 0, 0, 0]) < 0.6)
        // Blocks of four images of which half are at home elsewhere.
        let byBlock = stays([0, 0, 1, 1], .block)
        #expect(byBlock > stays([0, 0, 0, 0]) && byBlock < stays([0, 0, 1, 1]))
    }

    @Test func flipsDrawnOncePerImageStay() {
        let flips = (0..<5).map { epoch in
            (0..<40).map { WeakAugmentation.draw(.oncePerImage, seed: 2, epoch: epoch, sample: $0) }
        }
        #expect(flips.allSatisfy { $0 == flips[0] })
        #expect(Set(flips[0]).count == 4)
        #expect((0..<9).allSatisfy { WeakAugmentation.draw(.never, seed: 2, epoch: 1, sample: $0) == .none })
    }
}
