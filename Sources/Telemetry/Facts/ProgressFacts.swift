import Foundation

/// The beginning of a stage.
public struct StageFact: RunFact, Equatable {
    public static let event = "stage"
    /// The stage's name.
    public var stage: String
    /// Its position among the run's stages, from 1.
    public var number: Int
    /// The number of stages.
    public var count: Int
    /// The domains it trains on.
    public var domains: [String]
    /// Steps completed before it.
    public var firstStep: Int
    /// Its steps.
    public var steps: Int

    /// Creates the fact.
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

/// How many anchor embeddings of an epoch came from the node's store.
public struct AnchorReuseFact: RunFact, Equatable {
    public static let event = "anchors"
    /// The epoch, from 1.
    public var epoch: Int
    /// Images whose embedding was in the store.
    public var reused: Int
    /// All images.
    public var images: Int
    /// Speed of the epoch, images per second.
    public var imagesPerSecond: Double

    /// Creates the fact.
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

/// A published checkpoint.
public struct CheckpointFact: RunFact, Equatable {
    public static let event = "checkpoint"
    /// Its path.
    public var path: String
    /// Steps completed when it was taken.
    public var step: Int
    /// Seconds from its begin until it was published.
    public var seconds: Double
    /// Seconds that training was blocked by it.
    public var blockedSeconds: Double

    /// Creates the fact.
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

/// A run resumed from a checkpoint.
public struct ResumeFact: RunFact, Equatable {
    public static let event = "resume"
    /// The checkpoint.
    public var path: String
    /// Steps completed in it.
    public var step: Int

    /// Creates the fact.
    public init(path: String, step: Int) { (self.path, self.step) = (path, step) }

    public var fields: [LogField] { [LogField("path", .text(path)), LogField("step", .integer(step))] }

    public var line: String { "resumes from \(path)" }
}

/// The adapter written at the end of a run.
public struct AdapterFact: RunFact, Equatable {
    public static let event = "adapter"
    /// The file.
    public var path: String
    /// Its SHA-256.
    public var digest: String
    /// Steps it was trained for.
    public var step: Int

    /// Creates the fact.
    public init(path: String, digest: String, step: Int) { (self.path, self.digest, self.step) = (path, digest, step) }

    public var fields: [LogField] {
        [LogField("path", .text(path)), LogField("sha256", .text(digest)), LogField("step", .integer(step))]
    }

    public var line: String { "adapter \(path) sha256 \(digest)" }
}

/// Where a router sent the images of one source.
public struct RoutingFact: RunFact, Equatable {
    public static let event = "routing"
    /// The source of the images.
    public var source: String
    /// The domain they belong to.
    public var domain: String
    /// Steps before the evaluation.
    public var step: Int
    /// The router's domains.
    public var domains: [String]
    /// Images that were sent to each of them.
    public var sent: [Int]
    /// Images that went to the model without an adapter.
    public var plain: Int

    /// Creates the fact.
    public init(source: String, domain: String, step: Int, domains: [String], sent: [Int], plain: Int) {
        precondition(domains.count == sent.count, "\(sent.count) counts for \(domains.count) domains")
        (self.source, self.domain, self.step) = (source, domain, step)
        (self.domains, self.sent, self.plain) = (domains, sent, plain)
    }

    public var fields: [LogField] {
        [
            LogField("source", .text(source)), LogField("domain", .text(domain)), LogField("step", .integer(step)),
            LogField("domains", .text(domains.joined(separator: " "))),
            LogField("sent", .text(sent.map(String.init).joined(separator: " "))), LogField("plain", .integer(plain)),
        ]
    }

    public var line: String { "routing of \(source) after step \(step): \(destinations)" }

    /// Where the images went, as in `of 12 images 11 to steel, 1 to the model without adapter`.
    public var destinations: String {
        let parts = zip(domains, sent).filter { $1 > 0 }.map { "\($1) to \($0)" }
        return "of \(sent.reduce(plain, +)) images "
            + (parts + (plain > 0 ? ["\(plain) to the model without adapter"] : [])).joined(separator: ", ")
    }
}
