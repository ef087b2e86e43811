/// The starting point of a run: everything needed to repeat it.
public struct StartRecord: Equatable, Sendable {
    /// Every recipe key with its value as text, in the order of the reference.
    public var recipe: [(key: String, value: String)]
    /// Programs and libraries with their versions, for example `("openmpi", "4.1.4")`.
    public var versions: [(name: String, version: String)]
    /// The placement of each rank, in rank order.
    public var placement: [RankPlacement]
    /// Kernel set chosen by OpenBLAS, for example `SkylakeX`.
    public var openBLASCore: String
    /// Digest of the base weights.
    public var weightsDigest: String
    /// Digest of the recipe keys that affect the result.
    public var recipeDigest: String
    /// Step that a resumed run continues from; 0 in a new run.
    public var firstStep: Int

    /// The placement of one rank.
    public struct RankPlacement: Equatable, Sendable {
        /// Name of the rank's host.
        public let host: String
        /// Processor cores the rank may use.
        public let cores: Int
        /// Compute threads the rank uses.
        public let threads: Int

        /// Creates a placement.
        public init(host: String, cores: Int, threads: Int) {
            self.host = host
            self.cores = cores
            self.threads = threads
        }
    }

    /// Creates a record.
    public init(
        recipe: [(key: String, value: String)], versions: [(name: String, version: String)],
        placement: [RankPlacement], openBLASCore: String, weightsDigest: String, recipeDigest: String,
        firstStep: Int = 0
    ) {
        self.recipe = recipe
        self.versions = versions
        self.placement = placement
        self.openBLASCore = openBLASCore
        self.weightsDigest = weightsDigest
        self.recipeDigest = recipeDigest
        self.firstStep = firstStep
    }

    /// True if all parts are equal.
    public static func == (first: StartRecord, second: StartRecord) -> Bool {
        first.recipe.elementsEqual(second.recipe, by: ==) && first.versions.elementsEqual(second.versions, by: ==)
            && first.placement == second.placement && first.openBLASCore == second.openBLASCore
            && first.weightsDigest == second.weightsDigest && first.recipeDigest == second.recipeDigest
            && first.firstStep == second.firstStep
    }

    /// Hosts in the order of their first rank, each with its number of ranks.
    public var hosts: [(name: String, ranks: Int)] {
        var hosts: [(name: String, ranks: Int)] = []
        for rank in placement {
            if let index = hosts.firstIndex(where: { $0.name == rank.host }) {
                hosts[index].ranks += 1
            } else {
                hosts.append((rank.host, 1))
            }
        }
        return hosts
    }
}
