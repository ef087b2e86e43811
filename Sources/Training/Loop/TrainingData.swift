public import Datasets
import Imaging

/// The images of a run as its recipe names them.
public struct TrainingData: Sendable {
    /// Images to adapt to.
    public let training: DatasetSubset
    /// Images to score; empty when the split leaves none.
    public let evaluation: DatasetSubset
    /// Images left out of either because nothing in them is labelled.
    public let withoutInstances: Int
    /// Instances of the training image that has most.
    public let mostInstances: Int

    /// Opens the data and splits it: `data.split` cuts one folder, `data.evaluationRoot` names a second one, and the
    /// split `none` trains and scores on the same images. Throws `DatasetError`.
    public init(_ recipe: Recipe) throws {
        guard recipe.prompts.kind != .coarse, !recipe.evaluation.prompts.contains(.coarse) else {
            throw DatasetError(
                .unavailablePrompt, at: "prompts", "coarse prompts are not built yet", remedy: "use box or point")
        }
        let settings = recipe.data
        let root = try Self.open(settings, root: settings.root)
        let limit = settings.limit > 0 ? settings.limit : nil
        let scored: DatasetSubset
        if settings.evaluationRoot == nil, let k = recipe.trainingImagesPerEvaluationImage {
            let seed = settings.splitSeed.map { UInt64(bitPattern: Int64($0)) }
            let split = try DatasetSplit(root, KToOneSplit(k: k, limit: limit, seed: seed))
            training = split.training
            scored = split.evaluation
            mostInstances = split.mostInstances
            withoutInstances = split.trainingWithoutInstances + split.evaluationWithoutInstances
        } else {
            let all = Array(0..<min(root.count, limit ?? root.count))
            let counts = try all.map { try root.instanceCount($0) }
            let kept = all.filter { counts[$0] > 0 }
            mostInstances = counts.max() ?? 0
            guard !kept.isEmpty else {
                throw DatasetError(
                    .emptyDataset, at: settings.root, "none of its \(all.count) images has a labelled instance",
                    remedy: "check the label files and data.binarise")
            }
            training = DatasetSubset(root, indices: kept)
            if let other = settings.evaluationRoot {
                let second = try Self.open(settings, root: other)
                scored = DatasetSubset(
                    second, indices: try (0..<second.count).filter { try second.instanceCount($0) > 0 })
            } else {
                scored = training
            }
            withoutInstances = all.count - kept.count
        }
        let most = recipe.evaluation.limit > 0 ? recipe.evaluation.limit : scored.count
        evaluation = DatasetSubset(scored, indices: Array(0..<min(most, scored.count)))
    }

    private static func open(_ settings: Recipe.Data, root: String) throws -> any SegmentationDataset {
        try DatasetRegistry.open(
            settings.format,
            DatasetOptions(
                root: root, imagesFolder: settings.images, labelsFolder: settings.labels,
                binariseThreshold: settings.binarise.map { UInt8($0) },
                exif: settings.exif == .apply ? .apply : .ignore))
    }
}
