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
    public var peakMemoryBytes = 0
    /// Bytes that rank 0 sent to other ranks in the interval.
    public var sentBytes = 0
    /// Largest over median time that a rank worked on an image; nil on one rank.
    public var computeRatio: Double?
    /// Images left out of the run until now because they cannot be read.
    public var badImages = 0

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

    /// The stage, where the run has several.
    public var stage: String?

    /// A record of one interval; what concerns other ranks, memory and traffic is set afterwards.
    public init(
        step: Int, totalSteps: Int, epoch: Int, imagesSeen: Int, loss: Double, lossParts: [LossPart],
        learningRate: Double, interval: ProgressInterval
    ) {
        (self.step, self.totalSteps, self.epoch, self.imagesSeen) = (step, totalSteps, epoch, imagesSeen)
        (self.loss, self.lossParts, self.learningRate, self.interval) = (loss, lossParts, learningRate, interval)
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
        if let stage { fields.append(LogField("stage", .text(stage))) }
        if let computeRatio { fields.append(LogField("compute_ratio", .number(computeRatio))) }
        return fields
    }
}
