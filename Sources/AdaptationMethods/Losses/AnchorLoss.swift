public import Kernels

/// One branch's half of WeSAM's anchor loss: dice with smoothing 1 against the anchor's masks, times 1/2. Student and
/// teacher each add theirs. Works on sums with or without pixel weights, as dice does.
public enum AnchorLoss {
    /// A branch's share of the loss.
    public static let share = 0.5
    static let dice = DiceLoss(smoothing: 1)

    /// The half loss for the sums of all instances.
    public static func value(_ sums: MaskLossKernel.Sums) -> Double { share * dice.value(sums) }

    /// The half loss's dL/dp inside and outside the anchor's masks.
    public static func slopes(_ sums: MaskLossKernel.Sums) -> (inside: Double, outside: Double) {
        let (inside, outside) = dice.slopes(sums)
        return (share * inside, share * outside)
    }
}
