package import Collectives
public import Datasets
import Foundation

/// An unreadable image, known to all ranks.
public struct UnreadableSample: Codable, Equatable, Sendable {
    /// The image in the run.
    public let image: ImageID
    /// Its name.
    public let id: String
    /// The faulty file and its fault.
    public let reason: String
    /// The remedy.
    public let remedy: String
    /// The rank that tried to read it.
    public let rank: Int
    /// The host of that rank.
    public let host: String

    /// Describes an image by the error of reading it.
    public init(_ image: ImageID, id: String, _ error: DatasetError, rank: Int, host: String) {
        (self.image, self.id, self.rank, self.host) = (image, id, rank, host)
        (reason, remedy) = ("\(error.location): \(error.problem)", error.remedy)
    }

    /// The fault and the rank that found it.
    public var line: String { "\(reason) (rank \(rank) on \(host))" }

    /// The samples of all ranks, in the order of the data. Collective.
    package static func gather(
        _ samples: [UnreadableSample], _ communicator: any Communicator
    ) throws -> [UnreadableSample] {
        try communicator.allGather(bytes: Array(try JSONEncoder().encode(samples))).flatMap {
            try JSONDecoder().decode([UnreadableSample].self, from: Data($0))
        }.sorted { ($0.image, $0.rank) < ($1.image, $1.rank) }
    }
}
