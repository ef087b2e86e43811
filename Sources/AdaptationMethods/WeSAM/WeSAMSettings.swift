public import Recipes

/// The settings of WeSAM; the defaults are the weights of the released code with the losses of the paper.
public struct WeSAMSettings: RecipeSection {
    public var losses = MaskLossSettings()
    public var anchorWeight = 1.0
    public var contrastWeight = 1.0
    public var temperature = 0.3
    public var contrast = ContrastRegions.instances
    public var patchSide = 8
    public var masking = MaskingSettings()

    /// Creates the defaults.
    public init() {}

    /// What the contrast compares.
    public enum ContrastRegions: String, CaseIterable, Sendable {
        case instances, background, patches
    }

    public static let fields: [RecipeField<WeSAMSettings>] =
        MaskLossSettings.fields.map { $0.within(\.losses) } + [
            .number(
                "anchorWeight", \.anchorWeight, MaskLossSettings.weightRange,
                "Weight of the dice loss of student and teacher against the anchor"),
            .number(
                "contrastWeight", \.contrastWeight, MaskLossSettings.weightRange,
                "Weight of the contrastive loss of the teacher's instances against the anchor's"),
            .number("temperature", \.temperature, above: 0, "Temperature of the contrastive loss"),
            .choice(
                "contrast", \.contrast,
                "What the contrast compares: instances, instances and background, or squares of the image"),
            .integer(
                "patchSide", \.patchSide, 1...32,
                "Side of a square of the patches form, cells of the image embedding; at least 2x2 and at most 32x32 squares"
            ),
        ] + MaskingSettings.fields.map { $0.within(\.masking) }

    public var faults: [SettingFault] { losses.faults(others: [anchorWeight, contrastWeight]) }

    /// The form of the contrast.
    var contrastForm: ContrastForm {
        switch contrast {
        case .instances: .instances
        case .background: .background
        case .patches: .patches(side: patchSide)
        }
    }
}

/// The settings of self-training without an anchor: WeSAM's student alone.
public struct SelfTrainingSettings: RecipeSection {
    public var losses = MaskLossSettings()
    public var masking = MaskingSettings()

    /// Creates the defaults.
    public init() {}

    public static let fields: [RecipeField<SelfTrainingSettings>] =
        MaskLossSettings.fields.map { $0.within(\.losses) } + MaskingSettings.fields.map { $0.within(\.masking) }

    public var faults: [SettingFault] { losses.faults }
}

/// What is hidden from the student's view.
public struct MaskingSettings: RecipeSection {
    public var ratio = 0.0
    public var block = 4

    /// Creates settings that hide nothing.
    public init() {}

    public static let fields: [RecipeField<MaskingSettings>] = [
        .number(
            "maskRatio", \.ratio, 0...0.95,
            "Share of the student's view that is hidden from it and filled with the teacher's features; 0 hides nothing"
        ),
        .integer("maskBlock", \.block, 1...32, "Side of a hidden block, cells of the image embedding"),
    ]
}
