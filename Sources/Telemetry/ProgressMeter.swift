public import Foundation

/// The clocks of a run: one that never jumps for durations, one for time stamps.
public struct RunClock: Sendable {
    /// Time since a fixed moment; never goes back.
    public let monotonic: @Sendable () -> Duration
    /// The calendar time.
    public let wall: @Sendable () -> Date

    /// Creates a clock from its two readings.
    public init(monotonic: @escaping @Sendable () -> Duration, wall: @escaping @Sendable () -> Date) {
        self.monotonic = monotonic
        self.wall = wall
    }

    /// The machine's clocks; monotonic time starts when this value is created.
    public static func system() -> RunClock {
        let start = ContinuousClock.now
        return RunClock(monotonic: { ContinuousClock.now - start }, wall: { Date() })
    }
}

/// Speed and time shares of one log interval.
public struct ProgressInterval: Equatable, Sendable {
    /// Duration of the interval without pauses, in seconds.
    public var seconds: Double
    /// Images trained on per second, over all ranks.
    public var imagesPerSecond: Double
    /// Share of the interval spent waiting for samples, 0 to 1.
    public var dataWaitFraction: Double
    /// Share of the interval spent exchanging gradients, 0 to 1.
    public var communicationFraction: Double
    /// Share of the interval spent waiting for slower ranks, 0 to 1.
    public var peerWaitFraction: Double
    /// Expected seconds to the end of the run; nil before the first step.
    public var remainingSeconds: Double?

    /// Creates an interval.
    public init(
        seconds: Double, imagesPerSecond: Double, dataWaitFraction: Double, peerWaitFraction: Double = 0,
        communicationFraction: Double,
        remainingSeconds: Double?
    ) {
        self.seconds = seconds
        self.imagesPerSecond = imagesPerSecond
        self.dataWaitFraction = dataWaitFraction
        self.communicationFraction = communicationFraction
        self.peerWaitFraction = peerWaitFraction
        self.remainingSeconds = remainingSeconds
    }
}

/// Measures speed and estimates the time to the end of a run.
///
/// The estimate is the number of remaining steps times an average step: an exponential average with weight 0.1 for the
/// newest step, divided by its accumulated weight, so that early steps are not biased towards zero.
public struct ProgressMeter: Sendable {
    private static let newestWeight = 0.1

    private let clock: RunClock
    private let totalSteps: Int
    private var step: Int
    private var lastMark: Duration
    private var pausedAt: Duration?
    private var interval = (seconds: 0.0, images: 0, dataWait: 0.0, peerWait: 0.0, communication: 0.0)
    private var average = (sum: 0.0, weight: 0.0)

    /// Starts measuring now.
    ///
    /// - Parameters:
    ///   - totalSteps: Total steps of the run.
    ///   - firstStep: Steps completed before the run was resumed.
    ///   - clock: The source of time.
    public init(totalSteps: Int, firstStep: Int = 0, clock: RunClock) {
        self.clock = clock
        self.totalSteps = totalSteps
        step = firstStep
        lastMark = clock.monotonic()
    }

    /// Counts a step that has just ended.
    ///
    /// - Parameters:
    ///   - images: Images of the step over all ranks.
    ///   - dataWait: Seconds of the step spent waiting for samples.
    ///   - peerWait: Seconds of the step spent waiting for slower ranks.
    ///   - communication: Seconds of the step spent exchanging gradients.
    public mutating func endStep(images: Int, dataWait: Double, peerWait: Double = 0, communication: Double) {
        let now = clock.monotonic()
        let seconds = Self.seconds(now - lastMark)
        lastMark = now
        step += 1
        interval.seconds += seconds
        interval.images += images
        interval.dataWait += dataWait
        interval.peerWait += peerWait
        interval.communication += communication
        average.sum += Self.newestWeight * (seconds - average.sum)
        average.weight += Self.newestWeight * (1 - average.weight)
    }

    /// Pauses the clock, for an evaluation or a checkpoint between two steps.
    public mutating func pause() { if pausedAt == nil { pausedAt = clock.monotonic() } }

    /// Resumes the clock.
    public mutating func resume() {
        guard let paused = pausedAt else { return }
        lastMark += clock.monotonic() - paused
        pausedAt = nil
    }

    /// Ends the current interval, returns it and begins the next.
    public mutating func takeInterval() -> ProgressInterval {
        defer { interval = (0, 0, 0, 0, 0) }
        let seconds = interval.seconds
        func share(_ part: Double) -> Double { seconds > 0 ? min(1, max(0, part / seconds)) : 0 }
        return ProgressInterval(
            seconds: seconds, imagesPerSecond: seconds > 0 ? Double(interval.images) / seconds : 0,
            dataWaitFraction: share(interval.dataWait), peerWaitFraction: share(interval.peerWait),
            communicationFraction: share(interval.communication),
            remainingSeconds: average.weight > 0
                ? Double(max(0, totalSteps - step)) * average.sum / average.weight : nil)
    }

    private static func seconds(_ duration: Duration) -> Double {
        Double(duration.components.seconds) + Double(duration.components.attoseconds) * 1e-18
    }
}
