/// One question about the ranks of a run and the pure function that answers it.
///
/// Facts are gathered before; a check measures nothing, so a made-up cluster tests it.
package struct Check: Sendable {
    /// What the report calls it.
    package let name: String
    private let judge: @Sendable ([RankFacts]) -> [Finding]

    init(_ name: String, _ judge: @escaping @Sendable ([RankFacts]) -> [Finding]) {
        (self.name, self.judge) = (name, judge)
    }

    /// The answer for these ranks, which are in rank order and at least one; nothing where the question does not arise.
    package func findings(_ ranks: [RankFacts]) -> [Finding] { judge(ranks) }

    /// All checks in the order of the report: what must be mended first stands first.
    package static let all: [Check] = [
        launcher, library, build, recipe, weights, data, nodes, cores, kernels, memory, sharedMemory, network, clocks,
        openFiles, hugePages, temporaryFolder, runFolder,
    ]
}
