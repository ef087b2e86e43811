import Foundation
public import Telemetry

/// The findings of an examination, check by check.
public struct Report: Sendable {
    /// A finding and the check it belongs to.
    public struct Entry: Sendable, Equatable {
        /// The name of the check.
        public let check: String
        /// The finding.
        public let finding: Finding
    }

    /// The findings in the order of the checks.
    public let entries: [Entry]
    /// The facts of the ranks, in rank order.
    let ranks: [RankFacts]
    private let worldSize: Int

    /// Evaluates facts of at least one rank.
    package init(_ ranks: [RankFacts]) { self.init(ranks, worldSize: ranks.count, unreadable: []) }

    /// Evaluates encoded facts of the ranks.
    ///
    /// Ranks of another build may encode theirs differently; they are reported, and the others evaluated.
    package init(facts: [[UInt8]], hosts: [String]) {
        let decoded = facts.map { try? JSONDecoder().decode(RankFacts.self, from: Data($0)) }
        let strangers = decoded.indices.filter { decoded[$0] == nil }.map { RankFacts(rank: $0, host: hosts[$0]) }
        self.init(decoded.compactMap(\.self), worldSize: facts.count, unreadable: strangers)
    }

    private init(_ ranks: [RankFacts], worldSize: Int, unreadable: [RankFacts]) {
        var entries: [Entry] = []
        if !unreadable.isEmpty {
            entries.append(
                Entry(
                    check: "program",
                    finding: .fault(
                        .usage, "\(named(unreadable)) reports facts in another format: a different build of kedge",
                        remedy: "copy one build to all nodes, or start it from a shared folder")))
        }
        if !ranks.isEmpty {
            entries += Check.all.flatMap { check in
                check.findings(ranks).map { Entry(check: check.name, finding: $0) }
            }
        }
        (self.entries, self.ranks, self.worldSize) = (entries, ranks, worldSize)
    }

    /// The exit code of the first fault, else `done`: warnings do not count.
    public var exitCode: ExitCode {
        for entry in entries {
            if case .fault(let code) = entry.finding.state { return code }
        }
        return .done
    }

    private func count(_ name: String) -> Int { entries.count { $0.finding.state.name == name } }

    /// The report as text: a line per finding, with its remedy below, and a summary.
    public var text: String {
        let width = entries.map(\.check.count).max() ?? 0
        let indent = String(repeating: " ", count: 9 + width + 2)
        var lines = entries.flatMap { entry -> [String] in
            let finding = entry.finding
            let line = Self.padded(finding.state.name, 9) + Self.padded(entry.check, width + 2) + finding.found
            return finding.remedy.isEmpty ? [line] : [line, indent + "-> " + finding.remedy]
        }
        lines.append("")
        lines.append(summary)
        return lines.joined(separator: "\n")
    }

    /// One line: the number of findings of each kind, and the exit code.
    public var summary: String {
        let (faults, warnings) = (count("fault"), count("warning"))
        let verdict =
            faults > 0
            ? "\(counted(faults, "fault")) (status \(exitCode.rawValue)), \(counted(warnings, "warning"))"
            : warnings > 0 ? "no fault, \(counted(warnings, "warning"))" : "no fault"
        return "\(counted(worldSize, "rank")), \(counted(Node.all(of: ranks).count, "node")): \(verdict)"
    }

    private static func padded(_ text: String, _ width: Int) -> String {
        text + String(repeating: " ", count: max(1, width - text.count))
    }
}

extension Report: Encodable {
    private enum Key: String, CodingKey { case checks, status, ranks }
    private enum EntryKey: String, CodingKey { case check, state, found, remedy }

    /// Encodes `checks` (each with `check`, `state`, `found`, `remedy`), `status`, and `ranks`, the facts.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: Key.self)
        var checks = container.nestedUnkeyedContainer(forKey: .checks)
        for entry in entries {
            var item = checks.nestedContainer(keyedBy: EntryKey.self)
            try item.encode(entry.check, forKey: .check)
            try item.encode(entry.finding.state.name, forKey: .state)
            try item.encode(entry.finding.found, forKey: .found)
            try item.encode(entry.finding.remedy, forKey: .remedy)
        }
        try container.encode(exitCode.rawValue, forKey: .status)
        try container.encode(ranks, forKey: .ranks)
    }
}
