public import Kernels
public import Layers
public import LowRankAdaptation
public import SegmentAnything

/// A way to adapt a model to unlabelled or weakly labelled images: losses and gradients of one image at a time.
///
/// A method never sees ranks, optimizers or files. It adds the gradient of its total loss to a buffer in the layout of
/// the adapter's parameters; its result depends on the example, the parameters and its settings alone.
public protocol AdaptationMethod: Sendable {
    /// Names of the loss parts, in the order of `StepLosses.parts`.
    var lossNames: [String] { get }

    /// Whether the anchor's embedding of an image is of use to it.
    var usesAnchor: Bool { get }
    /// Whether it learns from true masks, `AdaptationExample.masks`.
    var needsMasks: Bool { get }
    /// False for a method that only evaluates the model as it is.
    var trains: Bool { get }

    /// The losses of one image; their gradient is added to `gradients`.
    ///
    /// Throws `SegmentAnythingError` for prompts the model cannot take and `AdaptationMethodError`.
    func step(
        _ example: AdaptationExample, model: SegmentAnythingModel, adapter: LoRAAdapter,
        gradients: inout GradientBuffer, in workspace: Workspace
    ) throws -> StepLosses
}

extension AdaptationMethod {
    public var usesAnchor: Bool { false }
    public var needsMasks: Bool { false }
    public var trains: Bool { true }
}

/// The methods Kedge knows by name: one line each.
public enum MethodRegistry {
    private static let constructors: [(name: String, make: @Sendable (WeSAMConfiguration) -> any AdaptationMethod)] = [
        ("direct", { _ in Direct() }),
        (
            "self-training",
            {
                var configuration = $0
                configuration.hasAnchor = false
                return WeSAM(configuration)
            }
        ),
        ("supervised", { Supervised($0) }),
        ("tent", { Tent($0) }),
        ("wesam", { WeSAM($0) }),
    ]

    /// The known names, in order.
    public static let names = constructors.map(\.name)

    /// Makes a method. Throws `AdaptationMethodError`, which names the known ones.
    ///
    /// - Parameter weSAM: The settings; the baselines take of them what they share with WeSAM.
    public static func make(
        _ name: String, weSAM: WeSAMConfiguration
    ) throws(AdaptationMethodError) -> any AdaptationMethod {
        guard let entry = constructors.first(where: { $0.name == name }) else {
            throw AdaptationMethodError(
                .unknownMethod, "method.name = \(name): no such method; choose one of: \(names.joined(separator: ", "))"
            )
        }
        return entry.make(weSAM)
    }
}
