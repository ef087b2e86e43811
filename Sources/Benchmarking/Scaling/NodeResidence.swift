import Foundation

/// Memory of a run's ranks on this machine, per node, observed from outside while they run.
///
/// A page shared by several processes is divided among them (proportional set size), so a node's sum counts the frozen
/// weights once, while resident sets would count them in every rank. Virtual nodes of this machine are distinguished by
/// the namespaces of their host names; ranks on other machines are not observed.
package struct NodeResidence {
    /// The path of `/proc`.
    private let proc: String
    /// An argument that only the ranks of this run have.
    private let mark: String
    /// The largest sum of a node in bytes; nil until a rank was observed.
    package private(set) var largest: Int?

    package init(mark: String, proc: String = "/proc") { (self.mark, self.proc) = (mark, proc) }

    /// Takes one sample.
    package mutating func sample() {
        var sums: [String: Int] = [:]
        for name in (try? FileManager.default.contentsOfDirectory(atPath: proc)) ?? [] where Int(name) != nil {
            let folder = proc + "/" + name
            guard isRank(folder), let bytes = Self.proportionalBytes(folder) else { continue }
            let node = (try? FileManager.default.destinationOfSymbolicLink(atPath: folder + "/ns/uts")) ?? ""
            sums[node, default: 0] += bytes
        }
        if let most = sums.values.max() { largest = max(largest ?? 0, most) }
    }

    /// The launcher has the same arguments, but is another program.
    private func isRank(_ folder: String) -> Bool {
        guard let bytes = FileManager.default.contents(atPath: folder + "/cmdline") else { return false }
        let words = bytes.split(separator: 0).map { String(decoding: $0, as: UTF8.self) }
        return words.count > 2 && words[0].hasSuffix("kedge") && words[1] == "adapt" && words.contains(mark)
    }

    private static func proportionalBytes(_ folder: String) -> Int? {
        let text = FileManager.default.contents(atPath: folder + "/smaps_rollup").map {
            String(decoding: $0, as: UTF8.self)
        }
        let line = text?.split(separator: "\n").first { $0.hasPrefix("Pss:") }
        return line?.split(separator: " ").dropFirst().first.flatMap { Int($0) }.map { $0 << 10 }
    }
}
