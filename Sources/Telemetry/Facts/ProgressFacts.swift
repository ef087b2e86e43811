import Foundation

/// A stage begins.
public struct StageFact: RunFact, Equatable {
    public static let event = "stage"
    /// The stage's name.
    public var stage: String
    /// Its place among the run's stages, from 1, and how many there are.
    public var number: Int
    public var count: Int
    /// The domains it trains on.
    public var domains: [String]
    /// Steps done before it.
    public var firstStep: Int
    /// Its steps.
    public var steps: Int

    /// States a stage.
    public init(stage: String, number: Int, count: Int, domains: [String], firstStep: Int, steps: Int) {
        (self.stage, self.number, self.count, self.domains) = (stage, number, count, domains)
        (self.firstStep, self.steps) = (firstStep, steps)
    }

    public var fields: [LogField] {
        [
            LogField("stage", .text(stage)), LogField("number", .integer(number)), LogField("count", .integer(count)),
            LogField("domains", .text(domains.joined(separator: " "))), LogField("first_step", .integer(firstStep)),
            LogField("steps", .integer(steps)),
        ]
    }

    public var line: String {
        "stage \(number) of \(count), \(stage): \(steps) steps on \(domains.joined(separator: ", "))"
    }
}

/// How often the anchor's embedding of an image was found in the node's store in an epoch.
public struct AnchorReuseFact: RunFact, Equatable {
    public static let event = "anchors"
    /// The epoch, from 1.
    public var epoch: Int
    /// Images whose embedding was in the store.
    public var reused: Int
    /// Images in all.
    public var images: Int
    /// Speed of the epoch.
    public var imagesPerSecond: Double

    /// States an epoch's count.
    public init(epoch: Int, reused: Int, images: Int, imagesPerSecond: Double) {
        (self.epoch, self.reused, self.images, self.imagesPerSecond) = (epoch, reused, images, imagesPerSecond)
    }

    public var fields: [LogField] {
        [
            LogField("epoch", .integer(epoch)), LogField("reused", .integer(reused)),
            LogField("images", .integer(images)), LogField("images_per_second", .number(imagesPerSecond)),
        ]
    }

    public var line: String {
        "epoch \(epoch): \(reused) of \(images) anchor embeddings came from the store, "
            + String(format: "%.2f img/s", imagesPerSecond)
    }
}

/// A checkpoint was published.
public struct CheckpointFact: RunFact, Equatable {
    public static let event = "checkpoint"
    /// Its path.
    public var path: String
    /// Steps done when it was taken.
    public var step: Int
    /// From its begin until it was published.
    public var seconds: Double
    /// How long training waited for it.
    public var blockedSeconds: Double

    /// States a checkpoint.
    public init(path: String, step: Int, seconds: Double, blockedSeconds: Double) {
        (self.path, self.step, self.seconds, self.blockedSeconds) = (path, step, seconds, blockedSeconds)
    }

    public var fields: [LogField] {
        [
            LogField("path", .text(path)), LogField("step", .integer(step)), LogField("seconds", .number(seconds)),
            LogField("blocked_seconds", .number(blockedSeconds)),
        ]
    }

    public var line: String {
        String(
            format: "checkpoint %@: published in %.3f s, training blocked for %.3f s", path, seconds, blockedSeconds)
    }
}

/// A run continues from a checkpoint.
public struct ResumeFact: RunFact, Equatable {
    public static let event = "resume"
    /// The checkpoint.
    public var path: String
    /// Steps done in it.
    public var step: Int

    /// States a resume.
    public init(path: String, step: Int) { (self.path, self.step) = (path, step) }

    public var fields: [LogField] { [LogField("path", .text(path)), LogField("step", .integer(step))] }

    public var line: String { "resumes from \(path)" }
}

/// The adapter was written at the end of a run.
public struct AdapterFact: RunFact, Equatable {
    public static let event = "adapter"
    /// The file.
    public var path: String
    /// Its SHA-256.
    public var digest: String
    /// Steps it was trained for.
    public var step: Int

    /// States an adapter.
    public init(path: String, digest: String, step: Int) { (self.path, self.digest, self.step) = (path, digest, step) }

    public var fields: [LogField] {
        [LogField("path", .text(path)), LogField("sha256", .text(digest)), LogField("step", .integer(step))]
    }

    public var line: String { "adapter \(path) sha256 \(digest)" }
}
