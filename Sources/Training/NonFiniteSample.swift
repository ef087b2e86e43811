import Tensors
package import AdaptationMethods
import Collectives
import Evaluation
import Foundation
package import Layers

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

/// What ranks report to all others about single samples of a step; exchanged only when there is something.
struct SampleFindings {
    var unreadable: [UnreadableSample] = []
    var nonFinite: [NonFiniteSample] = []

    /// All ranks' findings, in the order of the data and of the batch. Collective.
    func gathered(_ communicator: any Communicator) throws -> SampleFindings {
        let nonFinite = try communicator.allGather(bytes: Array(try JSONEncoder().encode(nonFinite))).flatMap {
            try JSONDecoder().decode([NonFiniteSample].self, from: Data($0))
        }
        return SampleFindings(
            unreadable: try UnreadableSample.gather(unreadable, communicator),
            nonFinite: nonFinite.sorted { $0.position < $1.position })
    }
}
