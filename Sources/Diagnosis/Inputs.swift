import Foundation
import Telemetry

/// What rank 0 finds where the recipe's weights should be; it reads them for all ranks, the others know nothing.
package struct WeightFacts: Codable, Sendable, Equatable {
    /// The file; empty when the model needs none or the recipe is not known.
    package var path = ""
    /// Why it cannot be used; nil when it can.
    package var problem: String?
    /// What to do about it.
    package var remedy = ""
    /// The status that `kedge adapt` would end with.
    package var status: Int32?
    /// The digest of names, shapes and values.
    package var digest = ""

    package init() {}
}

extension Check {
    /// Can rank 0, which reads the weights for all, read them?
    static let weights = Check("weights") { ranks in
        guard let first = ranks.first(where: { $0.rank == 0 }), first.recipe.problem == nil else { return [] }
        let facts = first.weights
        guard !facts.path.isEmpty else { return [.ok("the model is made from a seed and needs no file")] }
        guard let problem = facts.problem else {
            return [
                .ok(
                    "\(facts.path), content \(short(facts.digest))"
                        + (ranks.count > 1 ? ", read by \(named([first])) for all" : ""))
            ]
        }
        // Where nothing was asked for, nothing that is asked for is missing.
        let code = ExitCode(rawValue: facts.status ?? ExitCode.noInput.rawValue) ?? .noInput
        return Complaint.findings([
            Complaint(
                ranks: [first], state: first.recipe.isGiven ? .fault(code) : .warning, text: problem,
                remedy: facts.remedy)
        ])
    }

    /// Can every rank read the images?
    static let data = Check("images") { ranks in
        let asking = ranks.filter { $0.recipe.problem == nil && $0.recipe.isGiven }
        guard let first = asking.first else { return [] }
        guard first.recipe.folders != nil else {
            return [.warning("the recipe names no folder of images", remedy: "add --set data.root=DIR")]
        }
        let complaints = asking.filter { !$0.recipe.missingFolders.isEmpty }.map { rank in
            Complaint(
                ranks: [rank], state: .fault(.noInput), text: "cannot read \(list(rank.recipe.missingFolders))",
                remedy: "mount the folder on every node, or name another in data.root")
        }
        guard complaints.isEmpty else { return Complaint.findings(complaints) }
        return [
            .ok("\(list(first.recipe.folders ?? []))\(ranks.count > 1 ? ", which all ranks can read" : " can be read")")
        ]
    }
}
