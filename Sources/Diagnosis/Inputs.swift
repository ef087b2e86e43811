import Foundation
import Telemetry

/// Rank 0's facts about the recipe's weight file; other ranks do not read it.
package struct WeightFacts: Codable, Sendable, Equatable {
    /// The file; empty if the model needs none or the recipe is unknown.
    package var path = ""
    /// Why it cannot be used; nil if it can.
    package var problem: String?
    /// The remedy.
    package var remedy = ""
    /// The exit code of `kedge adapt`.
    package var status: Int32?
    /// The digest of names, shapes and values.
    package var digest = ""

    package init() {}
}

/// Rank 0's facts about the labels of the recipe's images; other ranks do not read them.
package struct LabelFacts: Codable, Sendable, Equatable {
    /// What a run would do with them; empty if they were not read.
    package var lines: [String] = []
    /// What a run would warn of.
    package var warnings: [String] = []
    /// Why a run would refuse them; nil if it would not.
    package var problem: String?
    /// The remedy.
    package var remedy = ""
    /// The exit code of `kedge adapt`.
    package var status: Int32?

    /// The largest number of images read per source, so that an examination stays short.
    static let limit = 2000

    package init() {}
}

extension Check {
    /// Checks that the labels give the prompts of the recipe.
    static let labels = Check("labels") { ranks in
        guard let first = ranks.first(where: { $0.rank == 0 }) else { return [] }
        let facts = first.labels
        if let problem = facts.problem {
            let code = ExitCode(rawValue: facts.status ?? ExitCode.data.rawValue) ?? .data
            return [.fault(code, problem, remedy: facts.remedy)]
        }
        return facts.lines.map { .ok($0) }
            + facts.warnings.map { .warning($0, remedy: "see docs/guide/labels-and-recipes.md") }
    }

    /// Checks that rank 0, which reads the weights for all, can read them.
    static let weights = Check("weights") { ranks in
        guard let first = ranks.first(where: { $0.rank == 0 }), first.recipe.problem == nil else { return [] }
        let facts = first.weights
        guard !facts.path.isEmpty else { return [.ok("the model is generated from a seed and needs no file")] }
        guard let problem = facts.problem else {
            return [
                .ok(
                    "\(facts.path), content \(short(facts.digest))"
                        + (ranks.count > 1 ? ", read by \(named([first])) for all" : ""))
            ]
        }
        // Without a requested recipe, a missing file is not a fault.
        let code = ExitCode(rawValue: facts.status ?? ExitCode.noInput.rawValue) ?? .noInput
        return Complaint.findings([
            Complaint(
                ranks: [first], state: first.recipe.isGiven ? .fault(code) : .warning, text: problem,
                remedy: facts.remedy)
        ])
    }

    /// Checks that every rank can read the images.
    static let data = Check("images") { ranks in
        let asking = ranks.filter { $0.recipe.problem == nil && $0.recipe.isGiven }
        guard let first = asking.first else { return [] }
        guard first.recipe.folders != nil else {
            return [.warning("the recipe names no image folder", remedy: "add --set data.root=DIR")]
        }
        let complaints = asking.filter { !$0.recipe.missingFolders.isEmpty }.map { rank in
            Complaint(
                ranks: [rank], state: .fault(.noInput), text: "cannot read \(list(rank.recipe.missingFolders))",
                remedy: "mount the folder on every node, or set another in data.root")
        }
        guard complaints.isEmpty else { return Complaint.findings(complaints) }
        return [
            .ok("\(list(first.recipe.folders ?? []))\(ranks.count > 1 ? ", readable on all ranks" : " is readable")")
        ]
    }
}
