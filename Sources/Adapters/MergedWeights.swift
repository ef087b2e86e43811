public import Layers
public import Tensors

/// An adapter that can be merged into the weights it acts on.
public protocol MergeableAdapter: AdapterSet {
    /// A weight of the file with the adapter's update added; nil for a weight it does not change.
    ///
    /// - Parameters:
    ///   - name: The official name, as in `image_encoder.blocks.0.attn.qkv.weight`.
    ///   - values: The pass that supplies the adapter's values.
    func mergedWeight(_ name: String, _ weight: Tensor, in values: PassContext) -> Tensor?
}

/// The weights of a base model with an adaptation merged into them: a plain model of the same names and shapes.
///
/// Sums are rounded, so a merged model agrees with the adapted one to single precision. The base is never written to:
/// `reverted` has its bits.
public struct MergedWeights: ParameterSource {
    /// The weights without the adaptation.
    public let reverted: any ParameterSource
    private let adapters: [any MergeableAdapter]
    private let values: PassContext

    /// Merges an adapted model's adapters and trained parameters into the weights it was adapted from.
    ///
    /// Throws `AdapterError` for an adapter that cannot be expressed in weights.
    public init(_ adapted: AdaptedModel, into base: any ParameterSource, in values: PassContext) throws(AdapterError) {
        var adapters: [any MergeableAdapter] = []
        for set in adapted.adapters.sets {
            guard let mergeable = set as? any MergeableAdapter else {
                throw AdapterError("adapter \(set.kind) cannot be merged into the weights; keep it separate")
            }
            adapters.append(mergeable)
        }
        (self.reverted, self.adapters, self.values) = (base, adapters, values)
    }

    /// The merged tensor.
    public func tensor(_ name: String, _ shape: Shape) -> Tensor {
        if let trained = values.trained, let slot = trained.layout.slot(of: name) {
            return trained.value(slot).reshaped(shape)
        }
        let weight = reverted.tensor(name, shape)
        return adapters.reduce(weight) { $1.mergedWeight(name, $0, in: values) ?? $0 }
    }
}
