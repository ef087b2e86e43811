/// Which of two readings of WeSAM's self-training losses is computed.
public enum LossForm: String, Sendable, CaseIterable {
    /// The authors' code: the number of masks of the batch is focal's factor and dice's smoothing.
    case released
    /// The paper: no factor, smoothing 1.
    case paper

    /// What focal's mean is multiplied with.
    func focalFactor(maskCount: Int) -> Double { self == .released ? Double(maskCount) : 1 }
    /// What is added to both sides of dice's fraction.
    func diceSmoothing(maskCount: Int) -> Double { self == .released ? Double(maskCount) : 1 }
}
