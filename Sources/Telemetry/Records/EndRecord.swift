/// How a run ended.
public struct EndRecord: Equatable, Sendable {
    /// The status the process will exit with.
    public var exitCode: ExitCode
    /// Steps done.
    public var step: Int
    /// Images trained on, an image once for each time.
    public var imagesSeen: Int
    /// Images left out because they cannot be read.
    public var badImages: Int
    /// Duration of training and its evaluations, in seconds; not that of loading.
    public var seconds: Double

    /// How a run ended.
    public init(exitCode: ExitCode, step: Int, imagesSeen: Int, badImages: Int = 0, seconds: Double) {
        self.exitCode = exitCode
        self.badImages = badImages
        self.step = step
        self.imagesSeen = imagesSeen
        self.seconds = seconds
    }
}
