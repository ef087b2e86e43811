import Foundation

/// The images of a run over all sources.
public struct DataFact: RunFact, Equatable {
    public static let event = "data"
    /// Images to adapt to.
    public var trainingImages: Int
    /// Images to score.
    public var evaluationImages: Int
    /// Images skipped because nothing in them is labelled.
    public var withoutInstances: Int

    /// States how many images a run has.
    public init(trainingImages: Int, evaluationImages: Int, withoutInstances: Int) {
        (self.trainingImages, self.evaluationImages) = (trainingImages, evaluationImages)
        self.withoutInstances = withoutInstances
    }

    public var fields: [LogField] {
        [
            LogField("training_images", .integer(trainingImages)),
            LogField("evaluation_images", .integer(evaluationImages)),
            LogField("images_without_instances", .integer(withoutInstances)),
        ]
    }

    public var line: String {
        "data: \(trainingImages) images to adapt to, \(evaluationImages) to score"
            + (withoutInstances > 0 ? ", \(withoutInstances) skipped without a labelled instance" : "")
    }
}

/// The kinds of prompt of a run, and what follows from its length.
public struct PromptFact: RunFact, Equatable {
    public static let event = "prompts"
    /// In place of a teacher's kind, where there is none.
    public static let noTeacher = "none"
    /// The student's kind of prompt.
    public var student: String
    /// The teacher's kind of prompt.
    public var teacher: String
    /// Where prompts come from.
    public var source: String
    /// The kinds of prompt that are scored.
    public var scored: [String]
    /// The learning rate after the warm-up.
    public var learningRate: Double
    /// The steps of warm-up.
    public var warmUpSteps: Int

    /// Creates the fact.
    public init(
        student: String, teacher: String, source: String, scored: [String], learningRate: Double, warmUpSteps: Int
    ) {
        (self.student, self.teacher, self.source, self.scored) = (student, teacher, source, scored)
        (self.learningRate, self.warmUpSteps) = (learningRate, warmUpSteps)
    }

    public var fields: [LogField] {
        [
            LogField("student", .text(student)), LogField("teacher", .text(teacher)), LogField("source", .text(source)),
            LogField("scored", .text(scored.joined(separator: ","))),
            LogField("learning_rate", .number(learningRate)), LogField("warm_up_steps", .integer(warmUpSteps)),
        ]
    }

    public var line: String {
        "prompts: \(teacher == Self.noTeacher ? student : "student \(student), teacher \(teacher)"), scored by "
            + (scored.isEmpty ? "nothing" : scored.joined(separator: " and "))
            + "; learning rate \(learningRate) after \(warmUpSteps) steps of warm-up"
    }
}

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

    /// Creates the fact.
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

/// The placement of the frozen weights on the nodes.
public struct WeightsFact: RunFact, Equatable {
    public static let event = "weights"
    /// The size of one copy.
    public var byteCount: Int
    /// The number of copies.
    public var copies: Int
    /// True if a copy serves all ranks of a node; false for one copy per rank.
    public var isShared: Bool
    /// Remarks about single nodes.
    public var notes: [String]

    /// Creates the fact.
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

/// A rank's planned memory, and the free memory of its node.
public struct MemoryFact: RunFact, Equatable {
    public static let event = "memory"
    /// Planned bytes per rank.
    public var plannedBytesPerRank: Int
    /// Free bytes on the first rank's node before the first step; nil if the system does not report them.
    public var freeBytes: Int?
    /// The first rank's host.
    public var host: String

    /// Creates the fact.
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

/// The state of the node's store of anchor embeddings when opened.
public struct AnchorStoreFact: RunFact, Equatable {
    public static let event = "anchor_store"
    /// Capacity of the first node's store, in embeddings; 0 without a store.
    public var capacity: Int
    /// Embeddings that the run would store with enough space.
    public var wanted: Int
    /// Embeddings found from an earlier run.
    public var found: Int
    /// A description of the store, including nodes that differ from the first.
    public var description: String

    /// Creates the fact.
    public init(capacity: Int, wanted: Int, found: Int, description: String) {
        (self.capacity, self.wanted, self.found, self.description) = (capacity, wanted, found, description)
    }

    /// The fact of a run without a store, with the reason.
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
