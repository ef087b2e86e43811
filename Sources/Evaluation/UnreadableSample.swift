package import Collectives
public import Datasets
import Foundation

/// An image that could not be read, as all ranks know it.
public struct UnreadableSample: Codable, Equatable, Sendable {
    /// Which image of the run it is.
    public let image: ImageID
    /// Its name.
    public let id: String
    /// The file at fault and what is wrong with it.
    public let reason: String
    /// What can be done about it.
    public let remedy: String
    /// The rank that met it, and its host.
    public let rank: Int
    /// The host of that rank.
    public let host: String

    /// Describes an image by the error that reading it gave.
    public init(_ image: ImageID, id: String, _ error: DatasetError, rank: Int, host: String) {
        (self.image, self.id, self.rank, self.host) = (image, id, rank, host)
        (reason, remedy) = ("\(error.location): \(error.problem)", error.remedy)
    }

    /// What is wrong and who met it.
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
