/// The settings of WeSAM; the defaults are the weights of the released code with the losses of the paper.
public struct WeSAMSettings: Sendable, Equatable {
    /// The losses of the student against the teacher's masks.
    public var losses = MaskLossSettings()
    /// Weight of the dice losses of both branches against the anchor's masks.
    public var anchorWeight = 1.0
    /// Weight of the contrast between teacher and anchor features.
    public var contrastWeight = 1.0
    /// The regions being contrasted.
    public var contrast = ContrastForm.instances
    /// tau of the contrast.
    public var temperature = 0.3
    /// The hidden part of the student's view.
    public var masking = MaskingSettings()

    /// Creates the defaults.
    public init() {}

    /// The settings of a source, with the defaults for missing ones.
    public init(_ source: any MethodSettingsSource) {
        losses = MaskLossSettings(source)
        anchorWeight = source.number("anchorWeight") ?? anchorWeight
        contrastWeight = source.number("contrastWeight") ?? contrastWeight
        temperature = source.number("temperature") ?? temperature
        masking = MaskingSettings(source)
        switch source.text("contrast") {
        case "background": contrast = .background
        case "patches": contrast = .patches(side: source.integer("patchSide") ?? 8)
        default: contrast = .instances
        }
    }
}

/// The settings of self-training without an anchor: WeSAM's student alone.
public struct SelfTrainingSettings: Sendable, Equatable {
    /// The losses of the student against the teacher's masks.
    public var losses = MaskLossSettings()
    /// The hidden part of the student's view.
    public var masking = MaskingSettings()

    /// Creates the defaults.
    public init() {}

    /// The settings of a source, with the defaults for missing ones.
    public init(_ source: any MethodSettingsSource) {
        (losses, masking) = (MaskLossSettings(source), MaskingSettings(source))
    }
}

/// The hidden part of the student's view.
public struct MaskingSettings: Sendable, Equatable {
    /// Hidden fraction of the view; 0 hides nothing.
    public var ratio = 0.0
    /// Side of a hidden block, cells of the embedding's grid.
    public var block = 4

    /// Creates settings that hide nothing.
    public init() {}

    /// The settings of a source, with the defaults for missing ones.
    public init(_ source: any MethodSettingsSource) {
        ratio = source.number("maskRatio") ?? ratio
        block = source.integer("maskBlock") ?? block
    }
}
