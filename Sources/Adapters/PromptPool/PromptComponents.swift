public import Layers
public import Tensors

// m components P_i of L tokens, each with attention a_i and key k_i. For an image with query q:
//   w_i = cos(q * a_i, k_i),   tokens = sum over active i of w_i P_i        (* elementwise)
//   dP_i = w_i dT,   dw_i = dT . P_i
//   with u = q * a, s = 1/|u|, r = 1/|k|:   dw/dk = r (s u - w r k),   dw/da = q * s (r k - w s u)
// A stage owns an equal share of the components; those of the stages that have begun are active, and only the present
// stage's learn. The components of a kind are kept orthonormal:   ortho = sum over X in P, a, k of |X X' - 1|^2,
// d/dX = 4 (X X' - 1) X, over the rows of the active components.

/// Prompts that are sums of weighted components (CODA-Prompt, Smith et al., CVPR 2023, put into SAM's mask decoder in our
/// own way).
public struct PromptComponents: StagedAdapter, PromptTokenAdapter {
    /// The kind's name.
    public static let kind: String = "prompt-components"
    /// The kind's name.
    public var kind: String { Self.kind }
    /// Components, attentions, keys.
    public let parameters: [Parameter]
    /// Stages that have begun.
    public let begun: Int
    /// Stages among which the components are shared.
    private let stages: Int

    private var components: Parameter { parameters[0] }  // [m, L, C]
    private var attentions: Parameter { parameters[1] }  // [m, C]
    private var keys: Parameter { parameters[2] }  // [m, C]

    /// Fresh components with orthonormal rows; a function of the seed alone.
    ///
    /// - Parameters: As of `StagePrompts`.
    public init(
        _ sizes: PromptPoolSettings, width: Int, begun: Int, seed: UInt64, _ places: inout ParameterPlaces
    ) {
        parameters = [
            places.orthonormal("prompt_components.prompt", [sizes.count, sizes.length, width], seed: seed),
            places.orthonormal("prompt_components.attention", [sizes.count, width], seed: seed),
            places.orthonormal("prompt_components.key", [sizes.count, width], seed: seed),
        ]
        (self.begun, stages) = (begun, sizes.stages)
    }

    private init(_ other: PromptComponents, begun: Int) {
        (parameters, stages, self.begun) = (other.parameters, other.stages, begun)
    }

    /// The components once a stage, from 0, has begun.
    public func inStage(_ stage: Int) -> any AdapterSet { PromptComponents(self, begun: stage + 1) }

    /// Itself.
    public var promptTokens: (any PromptTokenAdapter)? { self }

    /// The first component of a stage.
    private func first(ofStage stage: Int) -> Int { components.shape[0] * stage / stages }
    /// The components that take part.
    private var active: Range<Int> { 0..<first(ofStage: begun) }
    /// The components that learn.
    private var learning: Range<Int> { first(ofStage: begun - 1)..<first(ofStage: begun) }

    /// A component's weight for an image, and what its gradients need.
    private struct Weight {
        let value: Double
        /// // [C]
        let byAttention: [Double]
        /// // [C]
        let byKey: [Double]

        init(_ query: [Double], _ attention: [Float], _ key: [Float]) {
            let attended = zip(query, attention).map { $0 * Double($1) }
            let key = key.map(Double.init)
            func inverse(_ vector: [Double]) -> Double {
                1 / max(vector.reduce(0) { $0 + $1 * $1 }, 1e-12).squareRoot()
            }
            let (s, r) = (inverse(attended), inverse(key))
            let w = zip(attended, key).reduce(0) { $0 + $1.0 * $1.1 } * s * r
            value = w
            byKey = zip(attended, key).map { r * (s * $0 - w * r * $1) }
            byAttention = zip(query, zip(attended, key)).map { $0 * s * (r * $1.1 - w * s * $1.0) }
        }
    }

    private func weights(_ features: ImageFeatures, in context: PassContext) -> [Weight] {
        let query = ImageQuery(features).direction
        let (attentions, keys) = (context.value(of: attentions), context.value(of: keys))
        return active.map {
            Weight(query, attentions.rows($0..<$0 + 1).elements, keys.rows($0..<$0 + 1).elements)
        }
    }

    /// The weighted sum of the active components. // [L, C]
    public func tokens(for features: ImageFeatures, in context: PassContext) -> Tensor {
        let values = context.value(of: components)
        let size = values.count / values.shape[0]
        var sum = Tensor(zeros: [values.shape[1], values.shape[2]])
        let (source, destination) = (values.pointer, sum.mutablePointer)
        for (place, weight) in zip(active, weights(features, in: context)) {
            for i in 0..<size { destination[i] += Float(weight.value) * source[place * size + i] }
        }
        return sum
    }

    /// Adds the gradients of the components that learn, and of their attentions and keys. // [L, C]
    public func backward(
        _ dTokens: Tensor, features: ImageFeatures, gradients: inout GradientBuffer, in context: PassContext
    ) {
        guard let slot = context.slot(of: components), let attentionSlot = context.slot(of: attentions),
            let keySlot = context.slot(of: keys)
        else { return }
        let values = context.value(of: components)
        let (size, width) = (dTokens.count, dTokens.shape[1])
        var (dComponents, dAttentions, dKeys) = (
            Tensor(zeros: values.shape), Tensor(zeros: attentions.shape), Tensor(zeros: keys.shape)
        )
        let (source, gradient) = (values.pointer, dTokens.pointer)
        let (toComponents, toAttentions, toKeys) = (
            dComponents.mutablePointer, dAttentions.mutablePointer, dKeys.mutablePointer
        )
        let weights = weights(features, in: context)
        for place in learning {
            let weight = weights[place]
            var slope = 0.0
            for i in 0..<size {
                toComponents[place * size + i] = Float(weight.value) * gradient[i]
                slope += Double(gradient[i]) * Double(source[place * size + i])
            }
            for channel in 0..<width {
                toAttentions[place * width + channel] = Float(slope * weight.byAttention[channel])
                toKeys[place * width + channel] = Float(slope * weight.byKey[channel])
            }
        }
        gradients.add(dComponents, at: slot)
        gradients.add(dAttentions, at: attentionSlot)
        gradients.add(dKeys, at: keySlot)
    }

    /// How far components, attentions and keys are from orthonormal; its gradient, times a weight, is added for those
    /// that learn.
    public func orthogonality(weight: Double, gradients: inout GradientBuffer, in context: PassContext) -> Double {
        parameters.reduce(0) { sum, parameter in
            let values = context.value(of: parameter)
            let size = values.count / values.shape[0]
            let rows = active.map { place in (0..<size).map { Double(values[place * size + $0]) } }
            var (total, slopes) = (0.0, Tensor(zeros: values.shape))
            let destination = slopes.mutablePointer
            for i in active {
                for j in active {
                    let excess = zip(rows[i], rows[j]).reduce(0) { $0 + $1.0 * $1.1 } - (i == j ? 1 : 0)
                    total += excess * excess
                    guard learning.contains(i) else { continue }
                    for channel in 0..<size {
                        destination[i * size + channel] += Float(4 * weight * excess * rows[j][channel])
                    }
                }
            }
            if let slot = context.slot(of: parameter) { gradients.add(slopes, at: slot) }
            return sum + total
        }
    }
}
