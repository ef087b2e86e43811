/// How a run ended.
public struct EndRecord: Equatable, Sendable {
    /// The exit code of the process.
    public var exitCode: ExitCode
    /// Steps completed.
    public var step: Int
    /// Images trained on, counting every repetition.
    public var imagesSeen: Int
    /// Images skipped because they cannot be read.
    public var badImages: Int
    /// Duration from the loading of the model to the end, in seconds.
    public var seconds: Double

    /// Creates a record.
    public init(exitCode: ExitCode, step: Int, imagesSeen: Int, badImages: Int = 0, seconds: Double) {
        self.exitCode = exitCode
        self.badImages = badImages
        self.step = step
        self.imagesSeen = imagesSeen
        self.seconds = seconds
    }
}
