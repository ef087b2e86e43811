import Tensors

/// A split of an ordered list into training and evaluation: k items for training, one for evaluation, and again.
///
/// What is left over at the end goes to training. Without a seed the list keeps its order, so the split of a data set is
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

    /// The numbers of the training and of the evaluation items of a list of `count` items.
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
}

/// A data set cut into its training and its evaluation images, without images that have no instance.
public struct DatasetSplit: Sendable {
    /// The images to train on.
    public let training: DatasetSubset
    /// The images to evaluate on.
    public let evaluation: DatasetSubset
    /// How many training images were left out because they have no instance.
    public let trainingWithoutInstances: Int
    /// How many evaluation images were left out because they have no instance: their IoU is not defined.
    public let evaluationWithoutInstances: Int

    /// Instances of the training image that has most.
    public let mostInstances: Int

    /// Cuts the data set, then drops images without instances, which reads every label once.
    ///
    /// Throws `DatasetError` if a label cannot be read, or no training image with an instance is left.
    public init(_ dataset: any SegmentationDataset, _ split: KToOneSplit) throws {
        let (training, evaluation) = split.apply(count: dataset.count)
        let counts = try training.map { try dataset.instanceCount($0) }
        let keptTraining = zip(training, counts).filter { $0.1 > 0 }.map(\.0)
        mostInstances = counts.max() ?? 0
        let keptEvaluation = try evaluation.filter { try dataset.instanceCount($0) > 0 }
        guard !keptTraining.isEmpty else {
            throw DatasetError(
                .emptyDataset, at: "training split", "none of its \(training.count) images has a labelled instance",
                remedy: "check the label files and the binarise threshold")
        }
        self.training = DatasetSubset(dataset, indices: keptTraining)
        self.evaluation = DatasetSubset(dataset, indices: keptEvaluation)
        trainingWithoutInstances = training.count - keptTraining.count
        evaluationWithoutInstances = evaluation.count - keptEvaluation.count
    }
}
