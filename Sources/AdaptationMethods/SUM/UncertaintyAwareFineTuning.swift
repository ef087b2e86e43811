public import Adapters
public import Recipes

/// What says how far the pixels of pseudo-masks can be trusted.
public enum UncertaintySource: String, CaseIterable, Sendable {
    /// The refinement module, which is trained first (SUM).
    case refiner
    /// The model's own answer to the box around each mask (the paper's Discrepancy-Uncer).
    case discrepancy
    /// The mask's own logits: the distance of its probability from 0 or 1 (the paper's Confidence-Uncer).
    case confidence
    /// Nothing: all pixels are trusted (the paper's Vanilla).
    case none
}

/// Which masks are the labels of images without masks.
public enum PseudoLabel: String, CaseIterable, Sendable {
    /// The model's own masks, weighted by their uncertainty (SUM).
    case pseudo
    /// The refined ones, trusted everywhere (the paper's Mask Refinement).
    case refined
}

/// The settings of SUM.
public struct UncertaintyAwareSettings: RecipeSection {
    public var interactive = InteractiveSettings()
    public var theta = PseudoMaskRule().theta
    public var uncertainty = UncertaintySource.refiner
    public var label = PseudoLabel.pseudo
    public var weighsLosses = true
    public var weighsClicks = true
    public var refiner = ""
    public var refinerEpochs = 10
    public var refinerRate = 1e-4
    public var refinerMinimumIoU = RefinerSettings().minimumIoU
    public var refinerFilters = RefinerSettings().filters
    public var refinerMustImprove = true
    public var store = ""

    /// SUM's constants.
    public init() {}

    public static let fields: [RecipeField<UncertaintyAwareSettings>] =
        InteractiveSettings.fields.map { $0.within(\.interactive) } + [
            .number("theta", \.theta, 0...1, "Certainty above which a pixel counts in the dice loss"),
            .choice(
                "uncertainty", \.uncertainty,
                "What says how far pseudo-masks can be trusted: a refinement module trained first, the model's answer to their "
                    + "boxes, their own confidence, or nothing"),
            .choice(
                "label", \.label,
                "The labels of images without masks: pseudo-masks weighted by uncertainty, or the refined masks"),
            .flag("weighsLosses", \.weighsLosses, "Whether losses are weighted by certainty"),
            .flag("weighsClicks", \.weighsClicks, "Whether clicks are drawn in proportion to certainty"),
            .text(
                "refiner", \.refiner, effect: .machine,
                "The adapter file of a refinement module (method refiner); empty trains one first"),
            .integer(
                "refinerEpochs", \.refinerEpochs, 1...1_000_000, "Epochs in which the refinement module is trained"),
            .number("refinerRate", \.refinerRate, 1e-8...1, "Learning rate of the refinement module"),
            .number(
                "refinerMinimumIoU", \.refinerMinimumIoU, 0...1,
                "Lowest IoU with the true mask at which the model's answer to a point trains the refinement module"
            ),
            .flag(
                "refinerFilters", \.refinerFilters,
                "Whether such answers must also pass the filters of automatic masks"),
            .flag(
                "refinerMustImprove", \.refinerMustImprove, effect: .experiment,
                "Whether the run stops where refined masks have no better boundary IoU than the model's"),
            .text(
                "store", \.store, effect: .machine,
                "Folder of pseudo-masks, maps and refinement module, which several runs may share; empty keeps them in the run's"
            ),
        ]

    public var faults: [SettingFault] {
        let usesRefiner = uncertainty == .refiner || uncertainty == .discrepancy
        guard label == .pseudo || usesRefiner else {
            return interactive.faults + [
                SettingFault(
                    key: "label",
                    rule: "refined needs refined masks, which uncertainty=\(uncertainty.rawValue) does not make")
            ]
        }
        return interactive.faults
    }

    /// What is made before training.
    var pseudoMasks: PseudoMaskPlan {
        var plan = PseudoMaskPlan(uncertainty)
        (plan.store, plan.usesRefined) = (store, label == .refined)
        (plan.refiner.file, plan.refiner.epochs, plan.refiner.rate) = (refiner, refinerEpochs, refinerRate)
        plan.refiner.mustImprove = refinerMustImprove
        (plan.refiner.minimumIoU, plan.refiner.filters) = (refinerMinimumIoU, refinerFilters)
        return plan
    }

    /// What is made of the maps.
    var rule: PseudoMaskRule {
        var rule = PseudoMaskRule()
        rule.theta = theta
        (rule.weighsLosses, rule.weighsClicks) = (weighsLosses, weighsClicks)
        rule.usesRefined = label == .refined
        return rule
    }
}

// SUM (Liu et al., "Uncertainty-aware Fine-tuning of Segmentation Foundation Models", NeurIPS 2024), stage D: the seven rounds of
// interactive fine-tuning over images with true masks and images with pseudo-masks. Of the latter, losses are weighted and
// clicks are drawn by the certainty of each pixel. The stages before it make masks and maps.

/// SUM: fine-tuning with few masks and many images without.
public struct UncertaintyAwareFineTuning: AdaptationMethod {
    /// `sum`.
    public static let name = "sum"
    /// The settings.
    public let settings: UncertaintyAwareSettings
    /// The steps.
    private let tuning: InteractiveFineTuning

    /// Creates the method.
    public init(_ settings: UncertaintyAwareSettings = .init()) {
        self.settings = settings
        tuning = InteractiveFineTuning(settings.interactive, pseudoMasks: settings.rule)
    }

    /// focal, dice, iou.
    public var lossNames: [String] { tuning.lossNames }
    /// Those of interactive fine-tuning, and maps.
    public var needs: ExampleNeeds {
        var needs = tuning.needs
        needs.maps = settings.uncertainty != .none
        return needs
    }
    /// Masks, and maps of their uncertainty.
    public var pseudoMasks: PseudoMaskPlan? { settings.pseudoMasks }
    /// Those of interactive fine-tuning.
    public var trainables: TrainablePlan { tuning.trainables }

    /// The losses of one image.
    public func step(_ example: AdaptationExample, in context: inout StepContext) throws -> StepLosses {
        try tuning.step(example, in: &context)
    }
}
