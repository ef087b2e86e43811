/// What a run has learnt and counted at the end of a step.
public struct CheckpointState: Sendable, Equatable {
    /// Steps done.
    public var step: Int
    /// Images seen.
    public var images: Int
    /// Updates the optimiser has made.
    public var updates: Int
    /// Batches skipped in a row.
    public var skipsInARow: Int
    /// Batches skipped in all.
    public var skips: Int
    /// The numbers from `first` on: all of them after loading, a rank's slice for saving.
    public var first: Int
    /// LoRA matrices.
    public var parameters: [Float]
    /// Adam's running mean of the gradient.
    public var firstMoment: [Float]
    /// Adam's running mean of its square.
    public var secondMoment: [Float]

    /// Puts a state together.
    public init(
        step: Int, images: Int, updates: Int, skipsInARow: Int, skips: Int, first: Int, parameters: [Float],
        firstMoment: [Float], secondMoment: [Float]
    ) {
        (self.step, self.images, self.updates) = (step, images, updates)
        (self.skipsInARow, self.skips, self.first) = (skipsInARow, skips, first)
        (self.parameters, self.firstMoment, self.secondMoment) = (parameters, firstMoment, secondMoment)
    }
}
