/// One question about the ranks of a run and the pure function that answers it.
///
/// Facts are collected beforehand; a check measures nothing, so a fake cluster can test it.
package struct Check: Sendable {
    /// The name in the report.
    package let name: String
    private let judge: @Sendable ([RankFacts]) -> [Finding]

    init(_ name: String, _ judge: @escaping @Sendable ([RankFacts]) -> [Finding]) {
        (self.name, self.judge) = (name, judge)
    }

    /// The findings for these ranks (at least one, in rank order); empty if the check does not apply.
    package func findings(_ ranks: [RankFacts]) -> [Finding] { judge(ranks) }

    /// All checks in the order of the report: faults to be fixed first come first.
    package static let all: [Check] = [
        launcher, library, build, recipe, weights, data, labels, nodes, cores, threads, kernels, memory, sharedMemory,
        network,
        clocks,
        openFiles, hugePages, temporaryFolder, runFolder,
    ]
}
