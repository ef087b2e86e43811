import Collectives
import Foundation

/// Names of ranks for a message: `rank 3 on node1`, `ranks 0-3, 6 on node0 and node1`.
func named(_ ranks: [RankFacts]) -> String {
    let numbers = (ranks.count == 1 ? "rank " : "ranks ") + spans(ranks.map(\.rank))
    return numbers + " on " + list(Node.all(of: ranks).map(\.host))
}

/// Ranks as the subject of a sentence: `rank 3 on node1 has`.
func owners(_ ranks: [RankFacts]) -> String { named(ranks) + (ranks.count == 1 ? " has" : " have") }

/// Ascending numbers as ranges: `0-3, 6`.
func spans(_ numbers: [Int]) -> String { RankNames.spans(numbers) }

/// A list shortened to fit a line: `a`, `a and b`, `a, b, c and 5 more`.
func list(_ words: [String]) -> String { RankNames.list(words) }

/// A number with its noun: `1 rank`, `2 ranks`.
func counted(_ count: Int, _ noun: String) -> String { "\(count) \(noun)\(count == 1 ? "" : "s")" }

/// Bytes as `512 MiB` or `1.5 GiB`.
func size(_ bytes: Int) -> String {
    bytes < 1 << 30 ? "\((bytes + (1 << 19)) >> 20) MiB" : String(format: "%.1f GiB", Double(bytes) / Double(1 << 30))
}

/// The value of most ranks, and the ranks with another value.
struct Majority<Value: Equatable> {
    /// The most frequent value; rank 0's on a tie.
    let value: Value
    /// The ranks with that value.
    let ranks: [RankFacts]
    /// The others, grouped by their value, in the order of their first ranks.
    let odd: [(value: Value, ranks: [RankFacts])]

    /// Groups at least one rank.
    init(_ ranks: [RankFacts], by value: (RankFacts) -> Value) {
        var groups: [(value: Value, ranks: [RankFacts])] = []
        for rank in ranks {
            let own = value(rank)
            if let index = groups.firstIndex(where: { $0.value == own }) {
                groups[index].ranks.append(rank)
            } else {
                groups.append((own, [rank]))
            }
        }
        var most = 0
        for index in groups.indices where groups[index].ranks.count > groups[most].ranks.count { most = index }
        let common = groups.remove(at: most)
        (self.value, self.ranks, odd) = (common.value, common.ranks, groups)
    }

    /// The ranks with the common value, as the second half of a sentence.
    var others: String { owners(ranks) }
}

/// A fault of one rank or node; complaints with the same text become one finding.
struct Complaint {
    let ranks: [RankFacts]
    var state = Finding.State.warning
    let text: String
    let remedy: String

    /// One finding per state, text and remedy, preceded by the names of its ranks if there are several.
    static func findings(_ complaints: [Complaint]) -> [Finding] {
        var groups: [Complaint] = []
        for complaint in complaints {
            let index = groups.firstIndex { group in
                group.text == complaint.text && group.remedy == complaint.remedy && group.state == complaint.state
            }
            if let index {
                groups[index] = Complaint(
                    ranks: groups[index].ranks + complaint.ranks, state: complaint.state, text: complaint.text,
                    remedy: complaint.remedy)
            } else {
                groups.append(complaint)
            }
        }
        return groups.map { group in
            let isAlone = group.ranks[0].launch.worldSize == 1
            return Finding(
                group.state, isAlone ? group.text : "\(named(group.ranks)): \(group.text)", remedy: group.remedy)
        }
    }
}
