public import Adapters
public import Layers
public import Recipes
public import SegmentAnything

/// A way to adapt a model to unlabelled or weakly labelled images: losses and gradients of one image at a time.
///
/// A method owns its settings and declares what it trains and what it needs of an example. It never sees ranks,
/// optimisers or files: its result depends on the example, the parameters and its settings alone.
public protocol AdaptationMethod: Sendable {
    /// Its own recipe keys, below `method`.
    associatedtype Settings: RecipeSection = NoSettings

    /// The name, as in `method.name`.
    static var name: String { get }

    /// Creates the method.
    init(_ settings: Settings)

    /// Names of the loss parts, in the order of `StepLosses.parts`.
    var lossNames: [String] { get }
    /// The adapters and parameters that train.
    var trainables: TrainablePlan { get }
    /// The parts of an example it needs beside the weak view and the prompts.
    var needs: ExampleNeeds { get }

    /// Which masks an evaluation scores.
    var answers: EvaluatedAnswers { get }
    /// What is made before training of sources without masks; nil if it learns from all sources alike.
    var pseudoMasks: PseudoMaskPlan? { get }
    /// Whether its steps heed `StepContext.distillation`.
    var distils: Bool { get }
    /// Whether the images of a batch vote before their losses are computed.
    var votes: Bool { get }

    /// The stages of a run over some domains, in order; a method that only evaluates the model has none.
    ///
    /// - Parameters:
    ///   - domains: The names of the domains, in the order of the recipe.
    ///   - order: What the recipe asks for, where the method has no order of its own.
    func stages(over domains: [String], order: DomainOrder) -> [Stage]

    /// Rejects settings that do not fit a model. Throws `AdaptationMethodError` of kind `settings`.
    func check(for model: ModelDescription) throws(AdaptationMethodError)

    /// An image's vote, which all of its batch hear as `StepContext.votes`; called if `votes` is true.
    func vote(_ example: AdaptationExample, in context: StepContext) throws -> Vote

    /// Computes the losses of one image and adds their gradient to the context's.
    ///
    /// Throws `SegmentAnythingError` for prompts the model cannot process, and `AdaptationMethodError`.
    func step(_ example: AdaptationExample, in context: inout StepContext) throws -> StepLosses
}

extension AdaptationMethod {
    public var trainables: TrainablePlan { .lowRankPairs }
    public var needs: ExampleNeeds { ExampleNeeds() }
    public var answers: EvaluatedAnswers { .promptedMasks }
    public var pseudoMasks: PseudoMaskPlan? { nil }
    public var distils: Bool { false }
    public var votes: Bool { false }
    public func vote(_ example: AdaptationExample, in context: StepContext) throws -> Vote { Vote(numbers: []) }
    public func stages(over domains: [String], order: DomainOrder) -> [Stage] {
        Stage.plain(over: domains, order: order)
    }
    public func check(for model: ModelDescription) throws(AdaptationMethodError) {}

    /// Whether a run of it has steps.
    public var trains: Bool { !stages(over: ["any"], order: .joint).isEmpty }
}

/// What an image tells the others of its batch before losses are computed.
public struct Vote: Sendable {
    /// Whatever it names; the others hear the numbers of all images, without an order.
    public let numbers: [Int]
    /// The image's features, so that the step need not compute them again.
    public let features: ImageFeatures?

    /// Creates a vote.
    public init(numbers: [Int], features: ImageFeatures? = nil) { (self.numbers, self.features) = (numbers, features) }
}

/// Which masks an evaluation scores.
public enum EvaluatedAnswers: Sendable, Equatable {
    /// Those of the prompts.
    case promptedMasks
    /// Those that a refinement module makes of the unadapted model's answers to points; before training, these.
    case refinedMasks(RefinementPairMaker)
}

/// The parts of an example a method needs beside the weak view and the prompts.
public struct ExampleNeeds: Sendable, Equatable {
    /// The frozen model's features of the weak view, which a node may cache from epoch to epoch.
    public var anchor = false
    /// True masks of the prompted objects.
    public var masks = false
    /// Whether it reads the kind of task of masks.
    public var task = false
    /// Whether it reads how far masks can be trusted, of images for which that is known.
    public var maps = false
    /// How an image is augmented.
    public var view = ExampleView.weakAndStrong

    /// Creates needs; by default none.
    public init(anchor: Bool = false, masks: Bool = false, view: ExampleView = .weakAndStrong) {
        (self.anchor, self.masks, self.view) = (anchor, masks, view)
    }
}

/// How a method's training images are augmented and prompted.
public enum ExampleView: Sendable, Equatable {
    /// A mirrored view, a second one with other colours, and prompts of one kind (WeSAM).
    case weakAndStrong
    /// One view of one object, scaled and cropped at random, prompted by a box, points or a noisy mask (CoSAM).
    case jittered
}
