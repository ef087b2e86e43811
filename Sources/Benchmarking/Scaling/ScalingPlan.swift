public import SegmentAnything

/// The runs of a measurement: rank counts, the work per rank, repetitions and order.
public struct ScalingPlan: Codable, Sendable, Equatable {
    /// The kind of scaling to measure.
    public enum Mode: String, Codable, CaseIterable, Sendable {
        /// More ranks, more images: constant work per rank.
        case weak
        /// More ranks, the same images: constant total work.
        case strong
        /// Both.
        case both
    }

    /// One timed adaptation.
    public struct Case: Codable, Sendable, Equatable, Hashable {
        /// Number of ranks.
        public var ranks: Int
        /// Images per step over all ranks.
        public var globalBatch: Int

        /// Creates a case.
        public init(ranks: Int, globalBatch: Int) { (self.ranks, self.globalBatch) = (ranks, globalBatch) }

        /// Images per step on the busiest rank.
        public var imagesOfBusiestRank: Int { (globalBatch + ranks - 1) / ranks }
    }

    /// The model.
    public var model = ModelCatalog.standard
    /// The weight file; empty for the location of `scripts/fetch-weights`.
    public var weights = ""
    /// Rank counts, ascending.
    public var ranks: [Int]
    /// Compute threads per rank.
    public var threads = 1
    /// Images per rank and step; in strong scaling, at the largest rank count.
    public var imagesPerRank = 1
    /// Instances per image.
    public var instances = 8
    /// Measured steps per run.
    public var steps = 4
    /// Warm-up steps before them.
    public var warmUp = 1
    /// Repetitions of every case, interleaved so that a noisy machine affects all equally.
    public var rounds = 2
    /// Weak scaling, strong scaling or both.
    public var mode = Mode.weak

    /// A plan for rank counts written as `1,2,4`. Throws `ScalingError` for an invalid list.
    public init(ranks text: String) throws(ScalingError) {
        var numbers: [Int] = []
        for word in text.split(separator: ",", omittingEmptySubsequences: false) {
            guard let number = Int(String(word).trimmed), (1...65_536).contains(number) else {
                throw ScalingError(
                    .usage, "--ranks \(text): \"\(word)\" is not a number of ranks", remedy: "write a list as in 1,2,4")
            }
            numbers.append(number)
        }
        ranks = numbers.sorted().reduce(into: []) { if $0.last != $1 { $0.append($1) } }
    }

    /// The cases of a round: weak ones, then strong ones that differ from them.
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

    /// The case of a rank count in one mode; nil if that mode is not measured.
    public func `case`(ranks count: Int, _ mode: Mode) -> Case? {
        let batch = (mode == .weak ? count : ranks.last ?? 1) * imagesPerRank
        return cases.first { $0.ranks == count && $0.globalBatch == batch && (self.mode == mode || self.mode == .both) }
    }

    /// Images of a case: a multiple of its batch, so that all steps of an epoch are equal.
    func images(of work: Case) -> Int { work.globalBatch * ((7 + work.globalBatch) / work.globalBatch) }

    /// Number of images that suffices for every case.
    var images: Int { cases.map(images).max() ?? 1 }

    /// The arguments of `kedge` that run a case: without an anchor store and evaluation, logging every step.
    func arguments(of work: Case, data: String, runs: String, name: String) -> [String] {
        // A recipe has no empty text: without weights, the key keeps its default.
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

    /// Throws `ScalingError` for an invalid number.
    public func validate() throws(ScalingError) {
        for (name, value, least) in [
            ("threads", threads, 1), ("images-per-rank", imagesPerRank, 1), ("instances", instances, 1),
            ("steps", steps, 1), ("warm-up", warmUp, 0), ("rounds", rounds, 1),
        ] where value < least {
            throw ScalingError(.usage, "--\(name) is \(value)", remedy: "choose \(least) or more")
        }
        // Every cell of a synthetic image may be a prompt, and an image has at least eight cells.
        guard instances <= 8 else {
            throw ScalingError(
                .usage, "--instances is \(instances), but some generated images have only 8 cells",
                remedy: "choose 8 or fewer")
        }
    }
}
