/// Names of ranks for messages.
package enum RankNames {
    /// Ascending numbers as ranges: `0-3, 6`.
    ///
    /// - Parameter most: Maximum number of ranges; further ones are only mentioned.
    package static func spans(_ numbers: [Int], most: Int = .max) -> String {
        var parts: [ClosedRange<Int>] = []
        for number in numbers {
            if let last = parts.last, last.upperBound == number - 1 {
                parts[parts.count - 1] = last.lowerBound...number
            } else {
                parts.append(number...number)
            }
        }
        return parts.prefix(most).map { $0.count == 1 ? "\($0.lowerBound)" : "\($0.lowerBound)-\($0.upperBound)" }
            .joined(separator: ", ") + (parts.count > most ? " and more" : "")
    }

    /// A list that fits on a line: `a`, `a and b`, `a, b, c and 5 more`.
    package static func list(_ words: [String]) -> String {
        switch words.count {
        case 0: "none"
        case 1: words[0]
        case 2...4: words.dropLast().joined(separator: ", ") + " and " + words[words.count - 1]
        default: words.prefix(3).joined(separator: ", ") + " and \(words.count - 3) more"
        }
    }

    /// Ranks with their hosts: `rank 3 on node1`, `ranks 0-3, 6 on node0 and node1`.
    ///
    /// - Parameters:
    ///   - ranks: Ascending, at least one.
    ///   - hosts: The host of every rank, by its number.
    package static func named(_ ranks: [Int], hosts: [String]) -> String {
        var names: [String] = []
        for rank in ranks where !names.contains(hosts[rank]) { names.append(hosts[rank]) }
        return (ranks.count == 1 ? "rank " : "ranks ") + spans(ranks, most: 12) + " on " + list(names)
    }
}
