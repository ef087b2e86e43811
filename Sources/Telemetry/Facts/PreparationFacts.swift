import Foundation

/// The images that a source contributes to a run.
public struct SourceFact: RunFact, Equatable {
    public static let event = "source"
    /// The source's name.
    public var source: String
    /// The domain its images belong to.
    public var domain: String
    /// Images to adapt to.
    public var trainingImages: Int
    /// Images to score.
    public var evaluationImages: Int

    /// States what a source contributes.
    public init(source: String, domain: String, trainingImages: Int, evaluationImages: Int) {
        (self.source, self.domain) = (source, domain)
        (self.trainingImages, self.evaluationImages) = (trainingImages, evaluationImages)
    }

    public var fields: [LogField] {
        [
            LogField("source", .text(source)), LogField("domain", .text(domain)),
            LogField("training_images", .integer(trainingImages)),
            LogField("evaluation_images", .integer(evaluationImages)),
        ]
    }

    public var line: String {
        let name = domain == source ? source : "\(source) of domain \(domain)"
        return "source \(name): \(trainingImages) images to adapt to, \(evaluationImages) to score"
    }
}

/// Where the frozen weights lie on the nodes.
public struct WeightsFact: RunFact, Equatable {
    public static let event = "weights"
    /// The size of one copy.
    public var byteCount: Int
    /// How many copies there are.
    public var copies: Int
    /// Whether a copy serves all ranks of a node; false for one copy in each rank.
    public var isShared: Bool
    /// What is special on single nodes, in words.
    public var notes: [String]

    /// States where weights lie.
    public init(byteCount: Int, copies: Int, isShared: Bool, notes: [String] = []) {
        (self.byteCount, self.copies, self.isShared, self.notes) = (byteCount, copies, isShared, notes)
    }

    public var fields: [LogField] {
        [
            LogField("weights_bytes", .integer(byteCount)), LogField("copies", .integer(copies)),
            LogField("shared_by_node", .flag(isShared)),
        ] + (notes.isEmpty ? [] : [LogField("notes", .text(notes.joined(separator: "; ")))])
    }

    public var line: String {
        let count =
            copies == 1
            ? "one copy" : isShared ? "one copy on each of \(copies) nodes" : "one copy in each of \(copies) ranks"
        return (["frozen weights: \(byteCount >> 20) MiB, \(count)"] + notes).joined(separator: "; ")
    }
}

/// The memory that a rank is planned to need, beside what its node has free.
public struct MemoryFact: RunFact, Equatable {
    public static let event = "memory"
    /// Planned for each rank.
    public var plannedBytesPerRank: Int
    /// Free on the first rank's node before the first step; nil where the system does not report it.
    public var freeBytes: Int?
    /// That node.
    public var host: String

    /// States a plan.
    public init(plannedBytesPerRank: Int, freeBytes: Int?, host: String) {
        (self.plannedBytesPerRank, self.freeBytes, self.host) = (plannedBytesPerRank, freeBytes, host)
    }

    public var fields: [LogField] {
        [
            LogField("planned_bytes_per_rank", .integer(plannedBytesPerRank)),
            LogField("free_bytes", freeBytes.map(LogValue.integer) ?? .missing), LogField("host", .text(host)),
        ]
    }

    public var line: String {
        "memory: \(plannedBytesPerRank >> 20) MiB per rank expected"
            + (freeBytes.map { ", \($0 >> 20) MiB free on \(host)" } ?? "")
    }
}

/// The node's store of anchor embeddings as it was opened.
public struct AnchorStoreFact: RunFact, Equatable {
    public static let event = "anchor_store"
    /// Embeddings that the first node's store has room for; 0 without a store.
    public var capacity: Int
    /// Embeddings that the run would keep if there were room.
    public var wanted: Int
    /// Embeddings found from an earlier run.
    public var found: Int
    /// The store in words, nodes that differ from the first included.
    public var description: String

    /// States how a store was opened.
    public init(capacity: Int, wanted: Int, found: Int, description: String) {
        (self.capacity, self.wanted, self.found, self.description) = (capacity, wanted, found, description)
    }

    /// A run without a store, and why.
    public static func none(_ reason: String) -> AnchorStoreFact {
        AnchorStoreFact(capacity: 0, wanted: 0, found: 0, description: reason)
    }

    public var fields: [LogField] {
        [
            LogField("capacity", .integer(capacity)), LogField("wanted", .integer(wanted)),
            LogField("found", .integer(found)), LogField("text", .text(description)),
        ]
    }

    public var line: String { "anchor store: \(description)" }
}
