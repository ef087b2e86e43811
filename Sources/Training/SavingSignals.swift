/// A rank's state of saving during a step.
public struct SavingSignals: Sendable, Equatable {
    /// True if this rank's file of the checkpoint in progress is written.
    public var isShardWritten: Bool
    /// True if a checkpoint is due by time; only rank 0's value counts.
    public var isDue: Bool
    /// True if a checkpoint is being written; only rank 0's value counts.
    public var isBusy: Bool
    /// True if too many saves in a row have failed; only rank 0's value counts.
    public var isFailing: Bool
    /// True if the run's folder is no longer its own; only rank 0's value counts.
    public var isFolderLost: Bool

    /// Defaults: nothing in progress and nothing due.
    public init(
        isShardWritten: Bool = false, isDue: Bool = false, isBusy: Bool = false, isFailing: Bool = false,
        isFolderLost: Bool = false
    ) {
        (self.isShardWritten, self.isDue, self.isBusy, self.isFailing) = (isShardWritten, isDue, isBusy, isFailing)
        self.isFolderLost = isFolderLost
    }
}
