import AdaptationMethods
import Datasets
import Layers
import Tensors

/// A training example with the state of the node's store when it was read ahead.
struct PreparedExample: Sendable {
    let example: TrainingExample
    private let key: [UInt8]
    private let embedding: Tensor?

    /// Looks an example up; without a store there is nothing to look up.
    init(_ example: TrainingExample, _ anchors: AnchorStore?) {
        self.example = example
        guard let anchors, example.prompts.count > 0 else {
            (key, embedding) = ([], nil)
            return
        }
        key = anchors.key(of: example.weak)
        embedding = anchors.embedding(image: example.sampleIndex, flip: example.flip, key: key)
    }

    /// The anchor's features as far as they are stored, and the callback that stores those a step computes.
    ///
    /// Looked up again, because another rank may have computed them in the meantime.
    func anchorFeatures(_ anchors: AnchorStore?) -> AnchorFeatures {
        guard let anchors else { return AnchorFeatures() }
        let (image, flip, key) = (example.sampleIndex, example.flip, key)
        let kept = embedding ?? anchors.embedding(image: image, flip: flip, key: key)
        return AnchorFeatures(kept: kept.map { ImageFeatures(embedding: $0) }) {
            anchors.keep($0.embedding, image: image, flip: flip, key: key)
        }
    }
}
