/// One named part of a loss, in the order its method states.
public struct LossPart: Equatable, Sendable {
    /// Name of the part, for example `focal`.
    public let name: String
    /// Mean over the images of the interval, before its weight.
    public let value: Double

    /// A loss part.
    public init(_ name: String, _ value: Double) {
        self.name = name
        self.value = value
    }
}

/// What one interval of training steps was like, over all ranks.
public struct StepRecord: Equatable, Sendable {
    /// Steps done since the start of the run, this interval included.
    public var step: Int
    /// Steps the run will have.
    public var totalSteps: Int
    /// Current epoch, from 0.
    public var epoch: Int
    /// Images trained on since the start of the run.
    public var imagesSeen: Int
    /// Weighted total loss, mean over the interval's images.
    public var loss: Double
    /// Parts of the loss.
    public var lossParts: [LossPart]
    /// Learning rate of the last step.
    public var learningRate: Double
    /// Speed and shares of time.
    public var interval: ProgressInterval
    /// Rank that computed longest, with its seconds in the interval; nil on one rank.
    public var slowestRank: RankTime?
    /// Rank that computed shortest, with its seconds in the interval; nil on one rank.
    public var fastestRank: RankTime?
    /// Largest peak of resident memory of any rank, in bytes.
    public var peakMemoryBytes: Int
    /// Bytes that rank 0 sent to other ranks in the interval.
    public var sentBytes: Int
    /// Largest over median time that a rank worked on an image; nil on one rank.
    public var computeRatio: Double?
    /// Images left out of the run until now because they cannot be read.
    public var badImages: Int

    /// Compute time of one rank.
    public struct RankTime: Equatable, Sendable {
        /// Rank in the world.
        public let rank: Int
        /// Seconds of the interval it spent computing.
        public let seconds: Double

        /// Compute time of one rank.
        public init(rank: Int, seconds: Double) {
            self.rank = rank
            self.seconds = seconds
        }
    }

    /// A record of one interval.
    public init(
        step: Int, totalSteps: Int, epoch: Int, imagesSeen: Int, loss: Double, lossParts: [LossPart],
        learningRate: Double, interval: ProgressInterval, slowestRank: RankTime? = nil, fastestRank: RankTime? = nil,
        peakMemoryBytes: Int, sentBytes: Int = 0, computeRatio: Double? = nil, badImages: Int = 0
    ) {
        self.step = step
        self.totalSteps = totalSteps
        self.epoch = epoch
        self.imagesSeen = imagesSeen
        self.loss = loss
        self.lossParts = lossParts
        self.learningRate = learningRate
        self.interval = interval
        self.slowestRank = slowestRank
        self.fastestRank = fastestRank
        self.peakMemoryBytes = peakMemoryBytes
        self.sentBytes = sentBytes
        self.computeRatio = computeRatio
        self.badImages = badImages
    }

    var fields: [LogField] {
        var fields = [
            LogField("step", .integer(step)), LogField("total_steps", .integer(totalSteps)),
            LogField("epoch", .integer(epoch)), LogField("images_seen", .integer(imagesSeen)),
            LogField("loss", .number(loss)),
        ]
        fields += lossParts.map { LogField("loss_" + $0.name, .number($0.value)) }
        fields += [
            LogField("learning_rate", .number(learningRate)),
            LogField("images_per_second", .number(interval.imagesPerSecond)),
            LogField("data_wait_percent", .number(100 * interval.dataWaitFraction)),
            LogField("communication_percent", .number(100 * interval.communicationFraction)),
            LogField("peer_wait_percent", .number(100 * interval.peerWaitFraction)),
            LogField("sent_bytes", .integer(sentBytes)),
            LogField("interval_seconds", .number(interval.seconds)),
            LogField("eta_seconds", interval.remainingSeconds.map(LogValue.number) ?? .missing),
            LogField("peak_memory_bytes", .integer(peakMemoryBytes)), LogField("bad_images", .integer(badImages)),
        ]
        for (name, time) in [("slowest_rank", slowestRank), ("fastest_rank", fastestRank)] {
            guard let time else { continue }
            fields += [LogField(name, .integer(time.rank)), LogField(name + "_seconds", .number(time.seconds))]
        }
        if let computeRatio { fields.append(LogField("compute_ratio", .number(computeRatio))) }
        return fields
    }
}

/// The result of one evaluation with one kind of prompt.
public struct EvaluationRecord: Equatable, Sendable {
    /// Name of the data set.
    public var name: String
    /// Kind of prompt.
    public var prompt: String
    /// Means over images of the means over an image's instances.
    public var scores: EvaluationScores
    /// Training steps the evaluated weights have had; 0 is the unadapted model.
    public var step: Int
    /// Training loss of the last interval, when there was one.
    public var loss: Double?
    /// Images evaluated.
    public var images: Int
    /// Instances evaluated.
    public var instances: Int
    /// Logit above which a pixel counted as mask.
    public var threshold: Double
    /// Duration, in seconds.
    public var seconds: Double

    /// The result of one evaluation.
    public init(
        name: String, prompt: String, scores: EvaluationScores, step: Int, loss: Double? = nil, images: Int,
        instances: Int, threshold: Double, seconds: Double
    ) {
        self.name = name
        self.prompt = prompt
        self.scores = scores
        self.step = step
        self.loss = loss
        self.images = images
        self.instances = instances
        self.threshold = threshold
        self.seconds = seconds
    }

    var fields: [LogField] {
        [
            LogField("name", .text(name)), LogField("prompt", .text(prompt)),
        ] + scores.measured.map { LogField($0.measure.rawValue, .number($0.value)) } + [
            LogField("step", .integer(step)),
            LogField("loss", loss.map(LogValue.number) ?? .missing), LogField("images", .integer(images)),
            LogField("instances", .integer(instances)), LogField("threshold", .number(threshold)),
            LogField("seconds", .number(seconds)),
        ]
    }
}

/// What a run starts from: enough to repeat it.
public struct StartRecord: Equatable, Sendable {
    /// Every recipe key with its value as text, in the order of the reference.
    public var recipe: [(key: String, value: String)]
    /// Programs and libraries with their versions, for example `("openmpi", "4.1.4")`.
    public var versions: [(name: String, version: String)]
    /// Where each rank runs, in the order of ranks.
    public var placement: [RankPlacement]
    /// Kernel set that OpenBLAS chose, for example `SkylakeX`.
    public var openBLASCore: String
    /// Digest of the base weights.
    public var weightsDigest: String
    /// Digest of the recipe's keys that shape the result.
    public var recipeDigest: String
    /// Step that a resumed run continues from; 0 in a new run.
    public var firstStep: Int

    /// Where one rank runs.
    public struct RankPlacement: Equatable, Sendable {
        /// Name of the rank's host.
        public let host: String
        /// Processor cores the rank may use.
        public let cores: Int
        /// Compute threads the rank uses.
        public let threads: Int

        /// Where one rank runs.
        public init(host: String, cores: Int, threads: Int) {
            self.host = host
            self.cores = cores
            self.threads = threads
        }
    }

    /// What a run starts from.
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

    /// Equal in every part.
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

/// How a run ended.
public struct EndRecord: Equatable, Sendable {
    /// The status the process will exit with.
    public var exitCode: ExitCode
    /// Steps done.
    public var step: Int
    /// Images trained on.
    public var imagesSeen: Int
    /// Images left out because they cannot be read.
    public var badImages: Int
    /// Duration since the start of the process, in seconds.
    public var seconds: Double

    /// How a run ended.
    public init(exitCode: ExitCode, step: Int, imagesSeen: Int, badImages: Int = 0, seconds: Double) {
        self.exitCode = exitCode
        self.badImages = badImages
        self.step = step
        self.imagesSeen = imagesSeen
        self.seconds = seconds
    }
}
