/// The two variants of WeSAM's self-training losses.
public enum LossForm: String, Sendable, CaseIterable {
    /// The authors' code: the number of masks of the batch is focal's factor and dice's smoothing.
    case released
    /// The paper: no factor, smoothing 1.
    case paper

    /// Factor on focal's mean.
    func focalFactor(maskCount: Int) -> Double { self == .released ? Double(maskCount) : 1 }
    /// Added to both sides of dice's fraction.
    func diceSmoothing(maskCount: Int) -> Double { self == .released ? Double(maskCount) : 1 }
}
