public import SegmentAnything

/// What is to be run: which numbers of ranks, with how much work each, how often and in which order.
public struct ScalingPlan: Codable, Sendable, Equatable {
    /// Which question is asked.
    public enum Mode: String, Codable, CaseIterable, Sendable {
        /// More ranks, more images: the work of a rank stays the same.
        case weak
        /// More ranks, the same images: the work of all ranks together stays the same.
        case strong
        /// Both.
        case both
    }

    /// One adaptation that is timed.
    public struct Case: Codable, Sendable, Equatable, Hashable {
        /// Ranks.
        public var ranks: Int
        /// Images of a step over all ranks.
        public var globalBatch: Int

        /// Describes a case.
        public init(ranks: Int, globalBatch: Int) { (self.ranks, self.globalBatch) = (ranks, globalBatch) }

        /// Images of a step on the rank that has most.
        public var imagesOfBusiestRank: Int { (globalBatch + ranks - 1) / ranks }
    }

    /// The model.
    public var model = ModelCatalog.standard
    /// The weight file; empty for the place where `scripts/fetch-weights` puts it.
    public var weights = ""
    /// Numbers of ranks, ascending.
    public var ranks: [Int]
    /// Compute threads of a rank.
    public var threads = 1
    /// Images of a step on each rank; in strong scaling, on each of the most ranks.
    public var imagesPerRank = 1
    /// Instances in every image.
    public var instances = 8
    /// Measured steps of a run.
    public var steps = 4
    /// Steps before them that are not measured.
    public var warmUp = 1
    /// How often every case is run; cases take turns, so that a noisy machine hits all alike.
    public var rounds = 2
    /// Weak scaling, strong scaling or both.
    public var mode = Mode.weak

    /// A plan for these numbers of ranks, written as `1,2,4`. Throws `ScalingError` where they are not such a list.
    public init(ranks text: String) throws(ScalingError) {
        var numbers: [Int] = []
        for word in text.split(separator: ",", omittingEmptySubsequences: false) {
            guard let number = Int(String(word).trimmed), (1...65_536).contains(number) else {
                throw ScalingError(
                    .usage, "--ranks \(text): \"\(word)\" is no number of ranks", remedy: "write a list as in 1,2,4")
            }
            numbers.append(number)
        }
        ranks = numbers.sorted().reduce(into: []) { if $0.last != $1 { $0.append($1) } }
    }

    /// The cases in the order of a round: weak ones, then strong ones that are not among them.
    public var cases: [Case] {
        let strongBatch = (ranks.last ?? 1) * imagesPerRank
        let weak = ranks.map { Case(ranks: $0, globalBatch: $0 * imagesPerRank) }
        let strong = ranks.map { Case(ranks: $0, globalBatch: strongBatch) }
        switch mode {
        case .weak: return weak
        case .strong: return strong
        case .both: return weak + strong.filter { !weak.contains($0) }
        }
    }

    /// The case of a number of ranks in one mode; nil where that mode is not measured.
    public func `case`(ranks count: Int, _ mode: Mode) -> Case? {
        let batch = (mode == .weak ? count : ranks.last ?? 1) * imagesPerRank
        return cases.first { $0.ranks == count && $0.globalBatch == batch && (self.mode == mode || self.mode == .both) }
    }

    /// Images a case adapts to: a multiple of its batch, so that no step of an epoch has fewer than the others.
    func images(of work: Case) -> Int { work.globalBatch * ((7 + work.globalBatch) / work.globalBatch) }

    /// Images that suffice for every case.
    var images: Int { cases.map(images).max() ?? 1 }

    /// The words after `kedge` that run a case: the anchor's embedding is made in every step, nothing is evaluated,
    /// every step is logged.
    func arguments(of work: Case, data: String, runs: String, name: String) -> [String] {
        // A recipe has no empty text: the place of the weights is left to its default.
        let place = weights.isEmpty ? [] : ["model.weights=\(weights)"]
        let settings =
            place + [
                "model.kind=\(model.rawValue)", "data.root=\(data)", "data.split=none",
                "data.limit=\(images(of: work))", "prompts.maximumInstances=\(instances)", "run.folder=\(runs)",
                "run.name=\(name)", "execution.threads=\(threads)", "training.globalBatch=\(work.globalBatch)",
                "training.steps=\(warmUp + steps)", "training.logEvery=1", "anchorStore.mode=off",
                "checkpoint.everySteps=0", "checkpoint.everySeconds=0",
                "evaluation.before=false", "evaluation.prompts=[]",
            ]
        return ["adapt"] + settings.flatMap { ["--set", $0] }
    }

    /// Throws `ScalingError` for a number that cannot be.
    public func validate() throws(ScalingError) {
        for (name, value, least) in [
            ("threads", threads, 1), ("images-per-rank", imagesPerRank, 1), ("instances", instances, 1),
            ("steps", steps, 1), ("warm-up", warmUp, 0), ("rounds", rounds, 1),
        ] where value < least {
            throw ScalingError(.usage, "--\(name) is \(value)", remedy: "choose \(least) or more")
        }
        // Each cell of the synthetic images may be a prompt, and the smallest number of cells in an image is eight.
        guard instances <= 8 else {
            throw ScalingError(
                .usage, "--instances is \(instances), and some of the images made here have 8 cells alone",
                remedy: "choose 8 or fewer")
        }
    }
}
