import Foundation
import Recipes
import Runs
import Telemetry

/// The recipe of a rank.
package struct RecipeFacts: Codable, Sendable, Equatable {
    /// A key with its value as YAML.
    package struct Setting: Codable, Sendable, Equatable {
        package var key: String
        package var value: String

        package init(_ key: String, _ value: String) { (self.key, self.value) = (key, value) }
    }

    /// True if a file or a setting was passed; otherwise the defaults are checked.
    package var isGiven = false
    /// Why it cannot be resolved; nil if it can.
    package var problem: String?
    /// The exit code of `kedge adapt`.
    package var status: Int32?
    /// The digest of the keys that affect the result.
    package var digest = ""
    /// The non-default settings, in the order of the reference, except those that ranks may differ in.
    package var settings: [Setting] = []
    /// The image folders it names; nil if it names none.
    package var folders: [String]?
    /// Those that do not exist or cannot be read.
    package var missingFolders: [String] = []

    package init() {}
}

extension Check {
    /// Checks that all ranks run the same program.
    static let build = Check("program") { ranks in
        let digests = Majority(ranks, by: \.program)
        guard digests.odd.isEmpty else {
            return digests.odd.map { odd in
                .fault(
                    .usage,
                    "\(named(odd.ranks)) run\(odd.ranks.count == 1 ? "s" : "") a different kedge (\(short(odd.value))) "
                        + "than \(named(digests.ranks)) (\(short(digests.value)))",
                    remedy: "copy one build to all nodes, or start it from a shared folder")
            }
        }
        return [.ok("kedge \(Versions.kedge), \(short(digests.value))\(ranks.count > 1 ? " on all ranks" : "")")]
    }

    /// Checks that every rank can read its recipe, and that all are equal.
    static let recipe = Check("recipe") { ranks in
        let faults = Complaint.findings(
            ranks.compactMap { rank in
                rank.recipe.problem.map { problem in
                    Complaint(
                        ranks: [rank], state: .fault(ExitCode(rawValue: rank.recipe.status ?? 64) ?? .usage),
                        text: problem,
                        remedy: "fix it there; kedge adapt --dry-run prints a recipe with the source of each value")
                }
            })
        let readable = ranks.filter { $0.recipe.problem == nil }
        guard !readable.isEmpty else { return faults }
        let recipes = Majority(readable, by: \.recipe.settings)
        let differences = recipes.odd.map { odd in
            Finding.fault(
                .usage,
                "\(owners(odd.ranks)) \(difference(odd.value, recipes.value)), \(recipes.others) "
                    + difference(recipes.value, odd.value, isSecond: true),
                remedy: "give all ranks the same recipe and settings, including KEDGE_SET (mpirun -x KEDGE_SET)")
        }
        guard faults.isEmpty, differences.isEmpty else { return faults + differences }
        let facts = readable[0].recipe
        return [
            .ok(
                facts.isGiven
                    ? "digest \(short(facts.digest))\(ranks.count > 1 ? " on all ranks" : "")"
                    : "no recipe given; checking the defaults")
        ]
    }

    /// The first setting in which one recipe differs from another, with the first one's value.
    private static func difference(
        _ own: [RecipeFacts.Setting], _ other: [RecipeFacts.Setting], isSecond: Bool = false
    ) -> String {
        let defaults = Recipe().entries.map { ($0.key.key, $0.value.description) }
        func value(_ settings: [RecipeFacts.Setting], _ key: String) -> String {
            settings.first { $0.key == key }?.value ?? defaults.first { $0.0 == key }?.1 ?? "nothing"
        }
        // In the order of the reference, followed by keys that only some recipes have.
        let keys = defaults.map(\.0) + (own + other).map(\.key)
        guard let key = keys.first(where: { value(own, $0) != value(other, $0) }) else { return "other settings" }
        return isSecond ? value(own, key) : "\(key) = \(value(own, key))"
    }

    static func short(_ digest: String) -> String { digest.isEmpty ? "unknown" : String(digest.prefix(12)) }
}
