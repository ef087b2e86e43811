/// The result of one evaluation with one kind of prompt.
public struct EvaluationRecord: Equatable, Sendable {
    /// Name of the run.
    public var run: String
    /// Kind of prompt.
    public var prompt: String
    /// Means over images of the means over an image's instances.
    public var scores: EvaluationScores
    /// Training steps of the evaluated weights; 0 is the unadapted model.
    public var step: Int
    /// Training loss of the last interval, if there was one.
    public var loss: Double?
    /// Images evaluated.
    public var images: Int
    /// Instances evaluated.
    public var instances: Int
    /// Logit above which a pixel counts as mask.
    public var threshold: Double
    /// Duration, in seconds.
    public var seconds: Double

    /// The source of the images.
    public var source = "data"
    /// The domain the images belong to.
    public var domain = "data"
    /// The stage after which it was evaluated; nil for the unadapted model.
    public var stage: String?

    /// Creates a record; the origin of its images is set afterwards.
    public init(
        run: String, prompt: String, scores: EvaluationScores, step: Int, images: Int, instances: Int,
        threshold: Double, seconds: Double
    ) {
        (self.run, self.prompt, self.scores, self.step) = (run, prompt, scores, step)
        (self.images, self.instances, self.threshold, self.seconds) = (images, instances, threshold, seconds)
    }

    var fields: [LogField] {
        [
            LogField("name", .text(run)), LogField("source", .text(source)), LogField("domain", .text(domain)),
            LogField("stage", stage.map(LogValue.text) ?? .missing), LogField("prompt", .text(prompt)),
        ] + scores.measured.map { LogField($0.measure.rawValue, .number($0.value)) } + [
            LogField("step", .integer(step)),
            LogField("loss", loss.map(LogValue.number) ?? .missing), LogField("images", .integer(images)),
            LogField("instances", .integer(instances)), LogField("threshold", .number(threshold)),
            LogField("seconds", .number(seconds)),
        ]
    }

    /// Run and source as displayed; the source only if it has a name.
    var place: String { source == "data" ? run : "\(run) \(source)" }
}
