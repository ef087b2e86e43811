public import Recipes

/// The weights and the form of the losses of masks against binary targets.
///
/// The defaults are the weights of WeSAM's released code with the losses of the paper.
public struct MaskLossSettings: RecipeSection {
    public var form = LossForm.paper
    public var focalWeight = 20.0
    public var diceWeight = 1.0
    public var iouWeight = 1.0

    /// The defaults.
    public init() {}

    public static let fields: [RecipeField<MaskLossSettings>] = [
        .choice(
            "lossForm", \.form,
            "Losses as the paper states them, or with the instance count where the released code puts it"),
        .number(
            "focalWeight", \.focalWeight, weightRange, "Weight of the focal loss of the student against its target"),
        .number("diceWeight", \.diceWeight, weightRange, "Weight of the dice loss of the student against its target"),
        .number("iouWeight", \.iouWeight, weightRange, "Weight of the squared error of the predicted IoU"),
    ]

    /// The range of loss weights.
    static let weightRange = 0...1e6

    /// The names of the losses, in order.
    public static let lossNames = ["focal", "dice", "iou"]

    public var faults: [SettingFault] { faults(others: []) }

    /// The fault of weights that are all 0, these and others.
    func faults(others: [Double]) -> [SettingFault] {
        ([focalWeight, diceWeight, iouWeight] + others).contains { $0 > 0 }
            ? [] : [SettingFault(key: "focalWeight", rule: "all loss weights are 0; nothing would be learnt")]
    }
}
