/// What a rank knows about saving when it enters a step.
public struct SavingSignals: Sendable, Equatable {
    /// True if this rank's file of the checkpoint under way is written.
    public var isShardWritten: Bool
    /// True if the clock says that a checkpoint is due; rank 0's word counts.
    public var isDue: Bool
    /// True if a checkpoint is being written; rank 0's word counts.
    public var isBusy: Bool
    /// True if too many in a row have failed; rank 0's word counts.
    public var isFailing: Bool

    /// Nothing is under way and nothing is due, unless told otherwise.
    public init(isShardWritten: Bool = false, isDue: Bool = false, isBusy: Bool = false, isFailing: Bool = false) {
        (self.isShardWritten, self.isDue, self.isBusy, self.isFailing) = (isShardWritten, isDue, isBusy, isFailing)
    }
}
