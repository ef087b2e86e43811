public import Kernels
public import Layers
public import LowRankAdaptation
public import SegmentAnything
public import Tensors

/// One image as a method sees it.
public struct AdaptationExample: Sendable {
    /// Model input of the weakly augmented view. // [S, S, 3]
    public let weak: Tensor
    /// Model input of the strongly augmented view, of the same geometry. // [S, S, 3]
    public let strong: Tensor
    /// The weak labels, in the model frame.
    public let prompts: PromptBatch
    /// The prompts of the branches that give the targets, one for each of `prompts`; nil where they take the same.
    public let teacherPrompts: PromptBatch?
    /// N in the released losses: the masks of the batch that is processed at once, by default the image's own.
    public let maskCount: Int
    /// The anchor's embedding of the weak view where somebody has kept it. // [h * w, C]
    public let anchorEmbedding: Tensor?
    /// Is given the anchor's embedding of the weak view when a step had to make it.
    public let keepAnchorEmbedding: (@Sendable (Tensor) -> Void)?

    /// Puts an example together.
    public init(
        weak: Tensor, strong: Tensor, prompts: PromptBatch, teacherPrompts: PromptBatch? = nil, maskCount: Int? = nil,
        anchorEmbedding: Tensor? = nil, keepAnchorEmbedding: (@Sendable (Tensor) -> Void)? = nil
    ) {
        (self.weak, self.strong, self.prompts, self.teacherPrompts) = (weak, strong, prompts, teacherPrompts)
        (self.maskCount, self.anchorEmbedding) = (maskCount ?? prompts.count, anchorEmbedding)
        self.keepAnchorEmbedding = keepAnchorEmbedding
    }
}

/// A way to adapt a model to unlabelled or weakly labelled images: losses and gradients of one image at a time.
///
/// A method never sees ranks, optimizers or files. It adds the gradient of its total loss to a buffer in the layout of
/// the adapter's parameters; its result depends on the example, the parameters and its settings alone.
public protocol AdaptationMethod: Sendable {
    /// Names of the loss parts, in the order of `StepLosses.parts`.
    var lossNames: [String] { get }

    /// The losses of one image; their gradient is added to `gradients`.
    ///
    /// Throws `SegmentAnythingError` for prompts the model cannot take and `AdaptationMethodError`.
    func step(
        _ example: AdaptationExample, model: SegmentAnythingModel, adapter: LoRAAdapter,
        gradients: inout GradientBuffer, in workspace: Workspace
    ) throws -> StepLosses
}

/// The methods Kedge knows by name: one line each.
public enum MethodRegistry {
    /// The known names, in order.
    public static let names = ["wesam"]

    /// Makes a method. Throws `AdaptationMethodError`, which names the known ones.
    public static func make(
        _ name: String, weSAM: WeSAMConfiguration
    ) throws(AdaptationMethodError) -> any AdaptationMethod {
        switch name {
        case "wesam": return WeSAM(weSAM)
        default:
            throw AdaptationMethodError(
                .unknownMethod, "method.name = \(name): no such method; choose one of: \(names.joined(separator: ", "))"
            )
        }
    }
}
