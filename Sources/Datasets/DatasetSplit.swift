import Tensors

/// A split of an ordered list into training and evaluation: k items for training, one for evaluation, repeatedly.
///
/// The remainder at the end goes to training. Without a seed the list keeps its order, so the split of a data set is
/// the same everywhere; with a seed the list is permuted first, for repeated experiments.
public struct KToOneSplit: Equatable, Sendable {
    /// Training items per evaluation item.
    public var k: Int
    /// If set, only this many items of the (permuted) list are used.
    public var limit: Int?
    /// If set, the list is permuted by this seed before it is cut.
    public var seed: UInt64?

    /// Creates a split.
    public init(k: Int, limit: Int? = nil, seed: UInt64? = nil) {
        precondition(k >= 1, "a \(k):1 split trains on nothing")
        self.k = k
        self.limit = limit
        self.seed = seed
    }

    /// The indices of the training and of the evaluation items of a list of `count` items.
    public func apply(count: Int) -> (training: [Int], evaluation: [Int]) {
        var order = Array(0..<count)
        if let seed {
            var generator = SeededGenerator(seed: seed, purpose: "split")
            order = generator.permutation(count)
        }
        if let limit { order = Array(order.prefix(max(limit, 0))) }
        var training: [Int] = []
        var evaluation: [Int] = []
        for (position, item) in order.enumerated() {
            if position % (k + 1) == k {
                evaluation.append(item)
            } else {
                training.append(item)
            }
        }
        return (training, evaluation)
    }

    /// The split of data sets whose authors published none: four fifths of the images for training, one fifth for
    /// evaluation, drawn with a fixed seed.
    public static let drawn = KToOneSplit(k: 4, seed: 0)

    /// The indices of the training and of the evaluation samples of a data set. Images are divided, and all samples of an
    /// image are on one side; `limit` counts images.
    public func apply(to dataset: any SegmentationDataset) -> (training: [Int], evaluation: [Int]) {
        let samples = Self.samplesByImage(dataset)
        let (training, evaluation) = apply(count: samples.count)
        return (training.flatMap { samples[$0] }, evaluation.flatMap { samples[$0] })
    }

    /// The samples of each image, in the order of the images' first samples.
    package static func samplesByImage(_ dataset: any SegmentationDataset) -> [[Int]] {
        var places: [Int: Int] = [:]
        var samples: [[Int]] = []
        for index in 0..<dataset.count {
            let image = dataset.imageNumber(index)
            if let place = places[image] {
                samples[place].append(index)
            } else {
                places[image] = samples.count
                samples.append([index])
            }
        }
        return samples
    }
}
