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
    /// The factor applied at each decay step.
    public var decayFactor: Double

    /// Creates a schedule.
    public init(base: Double, warmUpSteps: Int, decaySteps: [Int], decayFactor: Double) {
        (self.base, self.warmUpSteps, self.decaySteps, self.decayFactor) = (base, warmUpSteps, decaySteps, decayFactor)
    }

    /// The rate of step t of the run, counted from 0; skipped steps count too.
    public func rate(at step: Int) -> Double {
        if step < warmUpSteps { return base * Double(step) / Double(warmUpSteps) }
        return decaySteps.filter { step >= $0 }.reduce(base) { rate, _ in rate * decayFactor }
    }
}
