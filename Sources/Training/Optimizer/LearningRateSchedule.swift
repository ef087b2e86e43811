/// Linear warm-up, then a constant rate with step-wise decays (WeSAM `adaptation.py`).
///
/// rate(t) = base * (t / warmUp)            for t < warmUp, so the first step has rate 0
///         = base * factor^(decays passed)  otherwise
public struct LearningRateSchedule: Sendable, Equatable {
    /// The full rate.
    public var base: Double
    /// Steps of warm-up; 0 for none.
    public var warmUpSteps: Int
    /// Steps at which the rate decays, ascending.
    public var decaySteps: [Int]
    /// Epochs at which the rate decays, ascending; the first is 0.
    public var decayEpochs: [Int] = []
    /// The factor applied at each decay step and epoch.
    public var decayFactor: Double

    /// Creates a schedule.
    public init(base: Double, warmUpSteps: Int, decaySteps: [Int], decayFactor: Double) {
        (self.base, self.warmUpSteps, self.decaySteps, self.decayFactor) = (base, warmUpSteps, decaySteps, decayFactor)
    }

    /// The rate of step t, counted from 0, in an epoch; skipped steps count too.
    public func rate(at step: Int, epoch: Int = 0) -> Double {
        if step < warmUpSteps { return base * Double(step) / Double(warmUpSteps) }
        let decays = decaySteps.filter { step >= $0 }.count + decayEpochs.filter { epoch >= $0 }.count
        return (0..<decays).reduce(base) { rate, _ in rate * decayFactor }
    }
}
