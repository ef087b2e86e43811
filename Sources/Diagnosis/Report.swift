import Foundation
public import Telemetry

/// What an examination found, check by check.
public struct Report: Sendable {
    /// A finding and the check it belongs to.
    public struct Entry: Sendable, Equatable {
        /// The name of the check.
        public let check: String
        /// What it found.
        public let finding: Finding
    }

    /// The findings in the order of the checks.
    public let entries: [Entry]
    /// What the ranks told, in rank order.
    let ranks: [RankFacts]
    private let worldSize: Int

    /// Judges facts. There must be at least one rank.
    package init(_ ranks: [RankFacts]) { self.init(ranks, worldSize: ranks.count, unreadable: []) }

    /// Judges facts as they came from the ranks.
    ///
    /// Ranks of another build may tell theirs in another form; they are named, and the others judged.
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
                        .usage, "\(named(unreadable)) tells facts in another form: another build of kedge",
                        remedy: "copy one build to all nodes, or start it from a shared folder")))
        }
        if !ranks.isEmpty {
            entries += Check.all.flatMap { check in
                check.findings(ranks).map { Entry(check: check.name, finding: $0) }
            }
        }
        (self.entries, self.ranks, self.worldSize) = (entries, ranks, worldSize)
    }

    /// The status of the first fault, else `done`: warnings do not fail.
    public var exitCode: ExitCode {
        for entry in entries {
            if case .fault(let code) = entry.finding.state { return code }
        }
        return .done
    }

    private func count(_ name: String) -> Int { entries.count { $0.finding.state.name == name } }

    /// The report for a reader: a line for each finding, its remedy below, and a line that sums up.
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

    /// One line: how many findings of each kind, and the status.
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

    /// Writes `checks` (each with `check`, `state`, `found`, `remedy`), `status`, and `ranks`, the facts themselves.
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
