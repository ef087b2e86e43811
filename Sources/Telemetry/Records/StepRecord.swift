/// One named part of a loss, in the order its method defines.
public struct LossPart: Equatable, Sendable {
    /// Name of the part, for example `focal`.
    public let name: String
    /// Mean over the images of the interval, before its weight.
    public let value: Double

    /// Creates a loss part.
    public init(_ name: String, _ value: Double) {
        self.name = name
        self.value = value
    }
}

/// One interval of training steps, over all ranks.
public struct StepRecord: Equatable, Sendable {
    /// Steps completed since the start of the run, including this interval.
    public var step: Int
    /// Total steps of the run.
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
    /// Speed and time shares.
    public var interval: ProgressInterval
    /// The rank with the longest compute time in the interval; nil on one rank.
    public var slowestRank: RankTime?
    /// The rank with the shortest compute time in the interval; nil on one rank.
    public var fastestRank: RankTime?
    /// Largest peak of resident memory of any rank, in bytes.
    public var peakMemoryBytes = 0
    /// Bytes that rank 0 sent to other ranks in the interval.
    public var sentBytes = 0
    /// Ratio of the largest to the median time per image of a rank; nil on one rank.
    public var computeRatio: Double?
    /// Images of the run skipped so far because they cannot be read.
    public var badImages = 0

    /// Compute time of one rank.
    public struct RankTime: Equatable, Sendable {
        /// Rank in the world.
        public let rank: Int
        /// Seconds of the interval spent computing.
        public let seconds: Double

        /// Creates a rank's time.
        public init(rank: Int, seconds: Double) {
            self.rank = rank
            self.seconds = seconds
        }
    }

    /// The stage, if the run has several.
    public var stage: String?

    /// Creates a record; values about other ranks, memory and traffic are set afterwards.
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
