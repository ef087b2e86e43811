import Datasets
import Tensors

/// A training example and what the node's store knows about it when it is read ahead.
struct PreparedExample: Sendable {
    let example: TrainingExample
    private let key: [UInt8]
    private let embedding: Tensor?

    /// Looks an example up; without a store there is nothing to know.
    init(_ example: TrainingExample, _ anchors: AnchorStore?) {
        self.example = example
        guard let anchors, example.prompts.count > 0 else {
            (key, embedding) = ([], nil)
            return
        }
        key = anchors.key(of: example.weak)
        embedding = anchors.embedding(image: example.sampleIndex, flip: example.flip, key: key)
    }

    /// The anchor's embedding; looked up once more, because another rank may have made it in the meantime.
    func anchorEmbedding(_ anchors: AnchorStore?) -> Tensor? {
        embedding ?? anchors?.embedding(image: example.sampleIndex, flip: example.flip, key: key)
    }

    /// What puts an embedding that had to be made into the store.
    func keeper(_ anchors: AnchorStore?) -> (@Sendable (Tensor) -> Void)? {
        guard let anchors else { return nil }
        let (image, flip, key) = (example.sampleIndex, example.flip, key)
        return { anchors.keep($0, image: image, flip: flip, key: key) }
    }
}
