public import Collectives
import Datasets
import Foundation
import Kernels
import Machine

/// The cost of a step's communication on a set of ranks, measured with the trainer's operations.
public struct ExchangeReport: Codable, Sendable, Equatable {
    /// Repeated exchanges of one size.
    public struct Sample: Codable, Sendable, Equatable {
        /// The size of the exchange.
        public var exchange: StepExchange
        /// Ranks.
        public var ranks: Int
        /// Median seconds per exchange.
        public var seconds: Double

        /// Creates a sample.
        public init(exchange: StepExchange, ranks: Int, seconds: Double) {
            (self.exchange, self.ranks, self.seconds) = (exchange, ranks, seconds)
        }
    }

    /// Ranks and cores of one machine; its virtual nodes share it.
    public struct Machine: Codable, Sendable, Equatable {
        /// Number of ranks on it.
        public var ranks: Int
        /// Number of cores that any of them may use.
        public var cores: Int
        /// Number of cores of the most restricted rank.
        public var coresOfOneRank: Int

        /// Creates a machine.
        public init(ranks: Int, cores: Int, coresOfOneRank: Int) {
            (self.ranks, self.cores, self.coresOfOneRank) = (ranks, cores, coresOfOneRank)
        }

        /// The maximum speed of ranks with `threads` threads each, relative to their speed on separate cores: cores /
        /// (ranks x threads), at most 1.
        public func bound(threads: Int) -> Double {
            min(1, Double(cores) / Double(ranks * threads), Double(coresOfOneRank) / Double(threads))
        }
    }

    /// The machines in the order of their first ranks.
    public var machines: [Machine]
    /// The measured exchanges.
    public var samples: [Sample]

    /// Creates a report.
    public init(machines: [Machine], samples: [Sample]) { (self.machines, self.samples) = (machines, samples) }

    /// Measures exchanges of several sizes; collective. Throws `CollectivesError`.
    ///
    /// - Parameters:
    ///   - exchanges: The sizes.
    ///   - repetitions: Measured exchanges per size, after two warm-up exchanges.
    public static func measure(
        _ exchanges: [StepExchange], repetitions: Int, communicator: any Communicator
    ) throws -> ExchangeReport {
        communicator.phase = "exchange"
        let coreList = CoreAffinity.current().cores.map(String.init).joined(separator: ",")
        let places = try communicator.allGather(bytes: Array((machineIdentity() + "\n" + coreList).utf8))
        let samples = try exchanges.map { exchange in
            let times = try time(exchange, repetitions: repetitions, communicator)
            return Sample(exchange: exchange, ranks: communicator.worldSize, seconds: median(times))
        }
        return ExchangeReport(machines: machines(places.map { String(decoding: $0, as: UTF8.self) }), samples: samples)
    }

    /// One JSON object on one line, with sorted keys.
    public func json() throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = .sortedKeys
        return String(decoding: try encoder.encode(self), as: UTF8.self)
    }

    private static func time(
        _ exchange: StepExchange, repetitions: Int, _ communicator: any Communicator
    ) throws -> [Double] {
        let (count, ranks) = (exchange.parameters, communicator.worldSize)
        let batch = Array(0..<exchange.imagesPerRank * ranks)
        let sum = SampleOrderedSum(parameterCount: count, globalBatch: batch.count, communicator: communicator)
        let slab = GradientSlab(parameterCount: count)
        let mine = ShardedSampler.deal(batch, nodeOfRank: [Int](repeating: 0, count: ranks))[communicator.rank]
        let records = mine.map {
            SampleRecord(position: $0, values: [Double](repeating: 1, count: exchange.valuesOfRecord))
        }
        let gradient = [Float](repeating: 0.25, count: count)
        var slice = [Float](repeating: 0, count: sum.ownSlice.count)
        var all = [Float](repeating: 0, count: count)
        var times: [Double] = []
        for _ in 0..<2 + repetitions {
            slab.begin(batchSize: batch.count)
            for position in mine { gradient.withUnsafeBufferPointer { slab.add($0, at: position) } }
            try communicator.barrier()
            let start = ContinuousClock.now
            // As in the trainer: ranks synchronise, exchange, receive the decision, sum, and gather.
            try communicator.barrier()
            let batch = try sum.exchange(records, slab)
            _ = try communicator.broadcast(bytes: communicator.isRoot ? [1, 0, 0, 0] : [], from: 0)
            slice.withUnsafeMutableBufferPointer { sum.sum(of: batch, into: $0) }
            try slice.withUnsafeBufferPointer { part in
                try all.withUnsafeMutableBufferPointer { try sum.gather(slice: part, into: $0) }
            }
            times.append((ContinuousClock.now - start) / .seconds(1))
        }
        return Array(times.dropFirst(2))
    }

    /// Groups ranks by machine; each place is the machine's identity and, on a second line, the rank's cores.
    package static func machines(_ places: [String]) -> [Machine] {
        var identities: [String] = []
        var cores: [[Set<Int>]] = []
        for place in places {
            let lines = place.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
            let own = Set(lines.count > 1 ? CoreAffinity(ranges: lines[1])?.cores ?? [] : [])
            if let index = identities.firstIndex(of: lines[0]) {
                cores[index].append(own)
            } else {
                identities.append(lines[0])
                cores.append([own])
            }
        }
        return cores.map { ranks in
            Machine(
                ranks: ranks.count, cores: max(1, ranks.reduce(into: Set()) { $0.formUnion($1) }.count),
                coresOfOneRank: max(1, ranks.map(\.count).min() ?? 1))
        }
    }

    /// An identity shared by all virtual nodes and containers of one machine, and by no other machine.
    private static func machineIdentity() -> String {
        let identity = try? String(contentsOfFile: "/proc/sys/kernel/random/boot_id", encoding: .utf8)
        return identity?.trimmed ?? ProcessInfo.processInfo.hostName
    }
}
