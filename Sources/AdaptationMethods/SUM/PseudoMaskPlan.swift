public import Recipes

/// What a run makes before training of images without masks: pseudo-masks, and maps of how far they can be trusted.
public struct PseudoMaskPlan: Sendable, Equatable {
    /// What says how far; `none` makes no maps.
    public let uncertainty: UncertaintySource
    /// Folder of the products; empty for the run's own.
    public var store = ""
    /// Whether the refined masks are the labels.
    public var usesRefined = false
    /// The refinement module, which is trained first where `uncertainty` asks for it.
    public var refiner = Refiner()

    /// A plan with the published constants.
    public init(_ uncertainty: UncertaintySource) { self.uncertainty = uncertainty }

    /// How the refinement module comes about.
    public struct Refiner: Sendable, Equatable {
        /// The file of a finished one; empty trains one.
        public var file = ""
        /// Epochs of its training.
        public var epochs = 10
        /// Its learning rate.
        public var rate = 1e-4
        /// IoU with the true mask from which on an answer becomes a pair.
        public var minimumIoU = RefinerSettings().minimumIoU
        /// Whether pairs also pass the filters of automatic masks.
        public var filters = RefinerSettings().filters
        /// Whether the run stops where it does not help.
        public var mustImprove = true

        /// The defaults.
        public init() {}

        /// The method that trains it.
        public static let method = RefinerTraining.name

        /// Its own recipe keys, below `method`, and their values.
        public var keys: [(name: String, value: RecipeValue)] {
            [("minimumIoU", .number(minimumIoU)), ("filters", .flag(filters))]
        }
    }
}
