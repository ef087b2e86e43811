public import Evaluation

/// What happened in a step, the same on every rank unless it says otherwise.
public struct StepOutcome: Sendable {
    /// The step, from 0.
    public var step: Int
    /// The epoch, from 0.
    public var epoch: Int
    /// The stage, from 0.
    public var stage: Int
    /// Whether the epoch ends with this step.
    public var endsEpoch: Bool
    /// Images of the batch, with or without instances.
    public var images: Int
    /// Per contributing sample: total, then the method's parts, summed.
    public var lossSums: [Double]
    /// Samples whose anchor embedding was in the node's store.
    public var anchorsReused: Int
    /// Samples with a gradient.
    public var contributingSamples: Int
    /// The learning rate of the update.
    public var learningRate: Double
    /// Samples of all ranks whose numbers were not finite, in the order of the batch.
    public var nonFinite: [NonFiniteSample]
    /// Images of all ranks that could not be read, in the order of their numbers.
    public var unreadable: [UnreadableSample]
    /// How many images of the run are left out until now; on other ranks than 0 as the run began.
    public var badImages: Int
    /// What this rank computed: samples, their instances, and those whose anchor embedding was in the node's store.
    public var own: (samples: Int, instances: Int, anchorsReused: Int)
    /// True if the files of all ranks of the checkpoint under way are written.
    public var areShardsWritten: Bool
    /// What rank 0 said.
    public var message: TrainingController.ControlMessage
    /// Seconds this rank computed, waited for data, waited for slower ranks, and exchanged.
    public var seconds: (compute: Double, wait: Double, peers: Double, communication: Double)
    /// Bytes this rank sent to others.
    public var bytesSent: Int
}
