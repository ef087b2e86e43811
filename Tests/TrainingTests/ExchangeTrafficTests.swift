import Collectives
import Datasets
import Testing
import Training

/// The traffic of a run with millions of trainable parameters, with positions assigned as in the trainer.
@Suite struct ExchangeTrafficTests {
    private static let parameters = 4_000_003
    private static let images = 8

    /// A gradient for which any other order of additions changes the result.
    private static func gradient(_ position: Int) -> [Float] {
        (0..<parameters).map { Float(($0 &* 2_654_435_761 &+ position &* 40_503) & 0xffff) * 0.37 - 9000 }
    }

    private struct Step: Equatable {
        var bytes: Int
        var vectors: Int
        var digest: UInt64
    }

    /// A step's exchange without the model.
    private static func step(_ communicator: any Communicator, nodeOfRank: [Int]) throws -> Step {
        let batch = ShardedSampler(sampleCount: 40, globalBatch: images, seed: 3).batch(epoch: 0, step: 1)
        let unit = Trainer.dealingUnit(parameterCount: parameters)
        let mine = ShardedSampler.deal(batch, nodeOfRank: nodeOfRank, unit: unit)[communicator.rank]
        let sum = SampleOrderedSum(parameterCount: parameters, globalBatch: images, communicator: communicator)
        let slab = GradientSlab(parameterCount: parameters)
        slab.begin(batchSize: images)
        for position in mine { gradient(position).withUnsafeBufferPointer { slab.add($0, at: position) } }
        let vectors = slab.vectorCount
        let before = communicator.bytesSent
        let records = mine.map { SampleRecord(position: $0, values: [Double](repeating: 1, count: 7)) }
        let slice = sum.sum(of: try sum.exchange(records, slab))
        var all = [Float](repeating: 0, count: parameters)
        try slice.withUnsafeBufferPointer { part in
            try all.withUnsafeMutableBufferPointer { try sum.gather(slice: part, into: $0) }
        }
        let digest = all.reduce(0xcbf2_9ce4_8422_2325 as UInt64) {
            ($0 ^ UInt64($1.bitPattern)) &* 0x0000_0100_0000_01b3
        }
        return Step(bytes: communicator.bytesSent - before, vectors: vectors, digest: digest)
    }

    @Test(.timeLimit(.minutes(2))) func trafficIsThatOfAnAllReduce() throws {
        let alone = try Self.step(SingleProcessCommunicator(), nodeOfRank: [0])
        #expect(alone.vectors == 3, "of eight images: four, two and one more")
        for nodeOfRank in [[0, 0], [0, 0, 0, 0], [0, 0, 1, 1], [0, 1, 2, 3]] {
            let ranks = nodeOfRank.count
            let steps = try InProcessCommunicator.run(ranks: ranks) {
                try Self.step($0, nodeOfRank: nodeOfRank)
            }
            let allReduce = 2 * Double(ranks - 1) / Double(ranks) * 4 * Double(Self.parameters)
            for step in steps {
                #expect(Double(step.bytes) <= 1.1 * allReduce, "\(Double(step.bytes) / allReduce) of an all-reduce")
                #expect(step.digest == alone.digest, "\(nodeOfRank)")
            }
        }
    }

    /// For any batch and number of ranks, a share assigned in blocks is stored as few vectors.
    @Test func sharesAreHeldAsFewVectors() {
        let gradient: [Float] = [1]
        for ranks in 1...7 {
            for size in 1...40 {
                let nodes = (0..<ranks).map { $0 / 2 }
                for share in ShardedSampler.deal(Array(0..<size), nodeOfRank: nodes, unit: .block) {
                    let slab = GradientSlab(parameterCount: 1)
                    slab.begin(batchSize: size)
                    for position in share { gradient.withUnsafeBufferPointer { slab.add($0, at: position) } }
                    #expect(slab.vectorCount <= Int.bitWidth - share.count.leadingZeroBitCount)
                }
            }
        }
    }
}
