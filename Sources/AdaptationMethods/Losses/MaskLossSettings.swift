/// The weights and the form of the losses of masks against binary targets.
public struct MaskLossSettings: Sendable, Equatable {
    /// The variant of the losses.
    public var form = LossForm.paper
    /// Weight of the focal loss.
    public var focalWeight = 20.0
    /// Weight of the dice loss.
    public var diceWeight = 1.0
    /// Weight of the squared error of the predicted IoUs.
    public var iouWeight = 1.0

    /// The weights of WeSAM's released code with the losses of the paper.
    public init() {}

    /// The settings of a source, with the defaults for missing ones.
    public init(_ source: any MethodSettingsSource) {
        form = source.text("lossForm").flatMap(LossForm.init) ?? form
        focalWeight = source.number("focalWeight") ?? focalWeight
        diceWeight = source.number("diceWeight") ?? diceWeight
        iouWeight = source.number("iouWeight") ?? iouWeight
    }

    /// The names of the losses, in order.
    public static let lossNames = ["focal", "dice", "iou"]

    /// The fault if all weights are 0, these and `others`.
    func faults(others: [Double]) -> [SettingFault] {
        ([focalWeight, diceWeight, iouWeight] + others).contains { $0 > 0 }
            ? [] : [SettingFault(key: "focalWeight", rule: "all loss weights are 0; nothing would be learnt")]
    }
}
