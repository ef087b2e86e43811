public import Evaluation

/// The outcome of a step; equal on every rank unless noted.
public struct StepOutcome: Sendable {
    /// The step, from 0.
    public var step: Int
    /// The epoch, from 0.
    public var epoch: Int
    /// The stage, from 0.
    public var stage: Int
    /// True if the epoch ends with this step.
    public var endsEpoch: Bool
    /// Images of the batch, with or without instances.
    public var images: Int
    /// Summed over contributing samples: the total loss, then the method's parts.
    public var lossSums: [Double]
    /// Samples whose anchor embedding was in the node's store.
    public var anchorsReused: Int
    /// Samples with a gradient.
    public var contributingSamples: Int
    /// The learning rate of the update.
    public var learningRate: Double
    /// Samples of all ranks with non-finite values, in batch order.
    public var nonFinite: [NonFiniteSample]
    /// Unreadable images of all ranks, in the order of their numbers.
    public var unreadable: [UnreadableSample]
    /// Images of all ranks that gave nothing to learn, because no labelled object was left in their view, in batch order.
    public var empty: [String]
    /// What the log must say of the step; nil if nothing.
    public var warning: String?
    /// Images of the run skipped so far; on ranks other than 0, as of the run's start.
    public var badImages: Int
    /// This rank's work: samples, their instances, and those whose anchor embedding was in the node's store.
    public var own: (samples: Int, instances: Int, anchorsReused: Int)
    /// True if all ranks have written their files of the checkpoint in progress.
    public var areShardsWritten: Bool
    /// Rank 0's message.
    public var message: TrainingController.ControlMessage
    /// Seconds this rank spent computing, waiting for data, waiting for slower ranks, and communicating.
    public var seconds: (compute: Double, wait: Double, peers: Double, communication: Double)
    /// Bytes this rank sent to others.
    public var bytesSent: Int
}
