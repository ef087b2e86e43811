package import AdaptationMethods
import Collectives
import Evaluation
import Foundation
package import Layers
import Tensors

/// A sample whose losses or gradient contain a value that is not finite, or too large to be squared; known to all
/// ranks.
public struct NonFiniteSample: Codable, Equatable, Sendable {
    /// The image's position in the global batch.
    public let position: Int
    /// The image's name.
    public let id: String
    /// The first faulty loss part or parameter, and the extent of the fault.
    public let tensor: String
    /// The rank that computed it.
    public let rank: Int
    /// The host of that rank.
    public let host: String

    /// The fault and the rank that computed it.
    public var line: String { "image \(id): \(tensor) (rank \(rank) on \(host))" }

    /// The first faulty loss part, in the method's order, or parameter, in the layout's order; nil if there is none.
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

    /// The largest gradient element whose square, and the mean of whose squares, are finite in single precision.
    private static let largestGradient: Float = 1e18

    private static func isUsable(_ number: Float) -> Bool { abs(number) <= largestGradient }
}

/// What ranks report to each other about single samples of a step; exchanged only if there is something to report.
struct SampleFindings {
    var unreadable: [UnreadableSample] = []
    var nonFinite: [NonFiniteSample] = []
    /// Images of which no labelled object is left in the view, by their position in the batch.
    var empty: [EmptySample] = []
    /// What concerns the whole step; equal on all ranks.
    var warning: String?

    /// An image without a prompt.
    struct EmptySample: Codable {
        var position: Int
        var id: String
    }

    /// Both, one after the other.
    static func + (first: SampleFindings, second: SampleFindings) -> SampleFindings {
        SampleFindings(
            unreadable: first.unreadable
                + second.unreadable.filter { new in !first.unreadable.contains { $0.image == new.image } },
            nonFinite: first.nonFinite + second.nonFinite, empty: first.empty + second.empty,
            warning: first.warning ?? second.warning)
    }

    /// All ranks' findings, in the order of the data and of the batch. Collective.
    func gathered(_ communicator: any Communicator) throws -> SampleFindings {
        func all<Finding: Codable>(_ own: [Finding]) throws -> [Finding] {
            try communicator.allGather(bytes: Array(try JSONEncoder().encode(own))).flatMap {
                try JSONDecoder().decode([Finding].self, from: Data($0))
            }
        }
        return SampleFindings(
            unreadable: try UnreadableSample.gather(unreadable, communicator),
            nonFinite: try all(nonFinite).sorted { $0.position < $1.position },
            empty: try all(empty).sorted { $0.position < $1.position })
    }
}
