/// The size of a step's communication between ranks; see `SampleOrderedSum` and `Communicator`.
public struct StepExchange: Codable, Sendable, Equatable {
    /// Number of trainable parameters `P`.
    public var parameters: Int
    /// Images per rank `k`.
    public var imagesPerRank: Int
    /// Parts of the method's loss, contained in every image's record.
    public var lossParts: Int

    /// Creates an exchange.
    public init(parameters: Int, imagesPerRank: Int, lossParts: Int = 0) {
        (self.parameters, self.imagesPerRank, self.lossParts) = (parameters, imagesPerRank, lossParts)
    }

    /// Vectors `b` that a rank sends: the blocks of `ShardedSampler` that its images form, one for each set bit of `k`.
    public var vectors: Int { imagesPerRank.nonzeroBitCount }
    /// Values in an image's record: the total loss, its parts, and whether the anchor's embedding was stored.
    var valuesOfRecord: Int { 2 + lossParts }

    /// The number of sequential messages of an exchange among `N` ranks.
    public enum Pattern: String, Codable, Sendable, CaseIterable {
        /// Along a tree in every exchange: ceil(log2 N).
        case tree
        /// Along a tree, but N - 1 in the two that carry gradients and parameters: from every other rank in turn.
        case pairwise
    }

    /// Exchanges of a step: four headers (of the barrier before it, of records and gradients, of rank 0's message, of
    /// the parameters), rank 0's message, records with gradients, parameters.
    static let exchanges = 7
    private static let headers = 4
    private static let headerBytes = 64

    /// Sequential messages a rank waits for; 0 for one rank.
    public func messages(ranks: Int, _ pattern: Pattern) -> Double {
        guard ranks > 1 else { return 0 }
        let depth = Double(Int.bitWidth - (ranks - 1).leadingZeroBitCount)
        switch pattern {
        case .tree: return Double(Self.exchanges) * depth
        case .pairwise: return Double(Self.exchanges - 2) * depth + 2 * Double(ranks - 1)
        }
    }

    /// Bytes a rank sends, and receives: 4 P (b + 1) (N - 1) / N for gradients and parameters, and from each of the N -
    /// 1 others its headers and its records.
    public func bytes(ranks: Int) -> Double {
        let others = Double(ranks - 1)
        let floats = 4 * Double(parameters) * Double(vectors + 1) * others / Double(ranks)
        let records = 8 * Double(2 + imagesPerRank * (3 + valuesOfRecord))
        return floats + others * (Double(Self.headers * Self.headerBytes) + records)
    }
}

extension StepExchange {
    /// Decodes an exchange; one without `lossParts` is from a version whose only method had five.
    public init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        self.init(
            parameters: try values.decode(Int.self, forKey: .parameters),
            imagesPerRank: try values.decode(Int.self, forKey: .imagesPerRank),
            lossParts: try values.decodeIfPresent(Int.self, forKey: .lossParts) ?? 5)
    }
}

/// A network described by two values: a message of `b` bytes takes `latency + b secondsPerByte`.
public struct Network: Codable, Sendable, Equatable {
    /// Seconds per empty message (alpha).
    public var latency: Double
    /// Seconds per byte (1 / beta).
    public var secondsPerByte: Double

    /// Creates a network.
    public init(latency: Double, secondsPerByte: Double) {
        (self.latency, self.secondsPerByte) = (latency, secondsPerByte)
    }

    /// The network with the given values replaced: microseconds per message, 10^9 bits per second.
    public func replacing(latencyMicroseconds: Double?, gigabits: Double?) -> Network {
        Network(
            latency: latencyMicroseconds.map { $0 * 1e-6 } ?? latency,
            secondsPerByte: gigabits.map { 8e-9 / $0 } ?? secondsPerByte)
    }

    /// Seconds of a step's communication: messages x latency + bytes x secondsPerByte.
    public func seconds(_ exchange: StepExchange, ranks: Int, _ pattern: StepExchange.Pattern) -> Double {
        exchange.messages(ranks: ranks, pattern) * latency + exchange.bytes(ranks: ranks) * secondsPerByte
    }

    /// The network that best fits the measured exchanges, by least squares of the relative error with both values at
    /// least 0; nil without two sizes of exchange on two or more ranks.
    public static func fit(_ samples: [ExchangeReport.Sample]) -> Network? {
        let rows = samples.filter { $0.ranks > 1 && $0.seconds > 0 }.map { sample in
            (
                messages: sample.exchange.messages(ranks: sample.ranks, .tree) / sample.seconds,
                bytes: sample.exchange.bytes(ranks: sample.ranks) / sample.seconds
            )
        }
        guard rows.count > 1 else { return nil }
        // Minimises sum (latency messages + secondsPerByte bytes - 1)^2.
        let mm = rows.reduce(0) { $0 + $1.messages * $1.messages }
        let mb = rows.reduce(0) { $0 + $1.messages * $1.bytes }
        let bb = rows.reduce(0) { $0 + $1.bytes * $1.bytes }
        let (m, b) = (rows.reduce(0) { $0 + $1.messages }, rows.reduce(0) { $0 + $1.bytes })
        let determinant = mm * bb - mb * mb
        guard determinant > 1e-9 * mm * bb else { return nil }
        let latency = (m * bb - b * mb) / determinant
        let secondsPerByte = (b * mm - m * mb) / determinant
        if latency < 0 { return Network(latency: 0, secondsPerByte: b / bb) }
        if secondsPerByte < 0 { return Network(latency: m / mm, secondsPerByte: 0) }
        return Network(latency: latency, secondsPerByte: secondsPerByte)
    }
}
