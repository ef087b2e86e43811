package import AdaptationMethods
import Collectives
public import Datasets
import Foundation
package import Layers
import Tensors

/// An image that could not be read, as all ranks know it.
public struct UnreadableSample: Codable, Equatable, Sendable {
    /// Its number in the run's data; see `TrainingData`.
    public let number: Int
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
    public init(number: Int, id: String, _ error: DatasetError, rank: Int, host: String) {
        (self.number, self.id, self.rank, self.host) = (number, id, rank, host)
        (reason, remedy) = ("\(error.location): \(error.problem)", error.remedy)
    }

    /// What is wrong and who met it.
    public var line: String { "\(reason) (rank \(rank) on \(host))" }
}

/// A sample whose losses or gradient hold a number that is not finite, or too large to be squared, as all ranks know it.
public struct NonFiniteSample: Codable, Equatable, Sendable {
    /// The image's place in the global batch.
    public let position: Int
    /// The image's name.
    public let id: String
    /// The first loss part or parameter at fault, and how much of it.
    public let tensor: String
    /// The rank that computed it.
    public let rank: Int
    /// The host of that rank.
    public let host: String

    /// What is at fault and who computed it.
    public var line: String { "image \(id): \(tensor) (rank \(rank) on \(host))" }

    /// The first loss part, in the method's order, or parameter, in the layout's, that is at fault; nil if none is.
    package static func tensor(
        _ losses: StepLosses, _ gradient: some RandomAccessCollection<Float>, _ layout: ParameterLayout
    ) -> String? {
        if let part = losses.parts.first(where: { !$0.value.isFinite }) { return "loss \(part.name) is \(part.value)" }
        if !losses.total.isFinite { return "the total loss is \(losses.total)" }
        guard !gradient.allSatisfy(isUsable) else { return nil }
        for entry in layout.entries {
            let numbers = gradient.dropFirst(entry.offset).prefix(entry.shape.count)
            let bad = numbers.filter { !isUsable($0) }
            guard !bad.isEmpty else { continue }
            let problem =
                bad.contains { !$0.isFinite } ? "are not finite" : "are too large for Adam, which squares them"
            return "\(bad.count) of \(numbers.count) numbers in the gradient of \(entry.name) \(problem)"
        }
        return nil
    }

    /// The largest element of a gradient whose square, and the squares' mean, are single-precision numbers.
    private static let largestGradient: Float = 1e18

    private static func isUsable(_ number: Float) -> Bool { abs(number) <= largestGradient }
}

/// What ranks have to tell all others about single samples of a step; exchanged only when there is something.
struct SampleFindings: Codable, Sendable {
    var unreadable: [UnreadableSample] = []
    var nonFinite: [NonFiniteSample] = []

    /// All ranks' findings, in the order of the data and of the batch. Collective.
    func gathered(_ communicator: any Communicator) throws -> SampleFindings {
        let parts = try communicator.allGather(bytes: Array(try JSONEncoder().encode(self))).map {
            try JSONDecoder().decode(SampleFindings.self, from: Data($0))
        }
        return SampleFindings(
            unreadable: parts.flatMap(\.unreadable).sorted { ($0.number, $0.rank) < ($1.number, $1.rank) },
            nonFinite: parts.flatMap(\.nonFinite).sorted { $0.position < $1.position })
    }
}

extension TrainingError {
    /// Images listed in one error; the others are counted.
    private static let longestList = 20

    /// Images cannot be used, more than a run may leave out.
    ///
    /// - Parameters:
    ///   - samples: What was met now; not empty.
    ///   - others: Names of images that were left out before.
    ///   - limit: How many may be left out; 0 when the run stops at the first.
    ///   - ranks: How many ranks there are: with one, none is named.
    static func unreadable(
        _ samples: [UnreadableSample], others: [String] = [], limit: Int, ranks: Int, while doing: String = ""
    ) -> TrainingError {
        func line(_ sample: UnreadableSample) -> String { ranks > 1 ? sample.line : sample.reason }
        guard limit > 0 else {
            let more = samples.count > 1 ? " and \(samples.count - 1) more" : ""
            return TrainingError(
                .badData, doing + (samples.first.map(line) ?? "") + more,
                remedy: "\(samples.first?.remedy ?? "replace the file"), or go on without such images with "
                    + "data.badSamples=skip")
        }
        let list = samples.map { "\($0.id): \(line($0))" } + others
        let cut = list.count - longestList
        return TrainingError(
            .badData,
            "\(doing)\(list.count) images cannot be used, more than data.maximumBadSamples=\(limit): "
                + list.prefix(longestList).joined(separator: "; ") + (cut > 0 ? " and \(cut) more" : ""),
            remedy: "look after the data, or allow more")
    }
}
