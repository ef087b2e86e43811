/// The learnt values and counters of a run at the end of a step.
public struct CheckpointState: Sendable, Equatable {
    /// Steps done.
    public var step: Int
    /// Images processed.
    public var images: Int
    /// Updates of the run.
    public var updates: Int
    /// Updates of the present optimiser, which a stage may begin anew.
    public var optimizerUpdates: Int
    /// Batches skipped in a row.
    public var skipsInARow = 0
    /// Batches skipped in all.
    public var skips = 0
    /// Batches in which no image gave a gradient.
    public var emptyBatches = 0
    /// Images that could not be read, by their numbers in the data, ascending.
    public var badSamples: [Int] = []
    /// Scores of the unadapted model and of the last evaluation.
    public var scores: [CheckpointScore] = []
    /// Index of the first value below: 0 with all values after loading, the start of a rank's slice for saving.
    public var first: Int
    /// The trained numbers.
    public var parameters: [Float]
    /// Adam's running mean of the gradient.
    public var firstMoment: [Float]
    /// Adam's running mean of its square.
    public var secondMoment: [Float]
    /// What a strategy keeps of the stage before, with one value for each of `parameters`.
    public var kept: [Kept] = []

    /// A kept vector.
    public struct Kept: Sendable, Equatable {
        /// Its name in the files: lower-case letters and underscores.
        public var name: String
        /// Its values.
        public var values: [Float]

        /// Names a vector.
        public init(_ name: String, _ values: [Float]) { (self.name, self.values) = (name, values) }
    }

    /// Creates a state.
    public init(
        step: Int, images: Int, updates: Int, first: Int, parameters: [Float], firstMoment: [Float],
        secondMoment: [Float]
    ) {
        (self.step, self.images, self.updates, self.first) = (step, images, updates, first)
        optimizerUpdates = updates
        (self.parameters, self.firstMoment, self.secondMoment) = (parameters, firstMoment, secondMoment)
    }

    /// The vectors of a shard, in the order of its tensors.
    var vectors: [[Float]] { [parameters, firstMoment, secondMoment] + kept.map(\.values) }

    /// True if all parameters, moments and kept vectors are finite.
    var isFinite: Bool { vectors.allSatisfy { $0.allSatisfy(\.isFinite) } }
}

extension CheckpointState {
    /// A manifest's counts with the values of all ranks, in the order of its tensors.
    init(_ manifest: CheckpointManifest, vectors: [[Float]]) {
        self.init(
            step: manifest.step, images: manifest.images, updates: manifest.updates, first: 0, parameters: vectors[0],
            firstMoment: vectors[1], secondMoment: vectors[2])
        optimizerUpdates = manifest.optimizerUpdates ?? manifest.updates
        kept = zip(manifest.kept ?? [], vectors.dropFirst(3)).map { Kept($0, $1) }
        (skipsInARow, skips, badSamples, scores) = (
            manifest.skipsInARow, manifest.skips, manifest.badSamples, manifest.scores
        )
        // What versions that do not count them leave is the only reading that fits.
        emptyBatches = manifest.emptyBatches ?? max(0, manifest.step - manifest.updates - manifest.skips)
    }
}

/// One result of an evaluation; its numbers are texts that parse to the same bits, because a manifest has one text.
public struct CheckpointScore: Codable, Sendable, Equatable {
    /// Steps before the evaluation; 0 is the unadapted model.
    public var step: Int
    /// The kind of prompt.
    public var prompt: String
    /// Images evaluated.
    public var images: Int
    /// Instances evaluated.
    public var instances: Int
    /// One measured quantity.
    public struct Measure: Codable, Sendable, Equatable {
        /// Its name.
        public var name: String
        /// Its value.
        public var value: String
    }
    /// The measured quantities; checkpoints are compared by the first.
    public var measures: [Measure]
    /// Duration, in seconds.
    public var seconds: String
    /// The source of the images and their domain; nil in checkpoints of earlier versions.
    public var source: String?
    /// The domain of the source.
    public var domain: String?
    /// The stage after which it was made; nil for the unadapted model, and in checkpoints of earlier versions.
    public var stage: String?

    /// Creates a result.
    public init(
        step: Int, prompt: String, images: Int, instances: Int, measures: [(name: String, value: Double)],
        seconds: Double
    ) {
        (self.step, self.prompt, self.images, self.instances) = (step, prompt, images, instances)
        self.measures = measures.map { Measure(name: $0.name, value: "\($0.value)") }
        self.seconds = "\(seconds)"
    }
}
