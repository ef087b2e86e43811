public import Imaging

/// A collection of images with labels, in a fixed order.
///
/// Samples are numbered from 0 in an order that does not depend on the machine or the file system. Every method may be
/// called from several threads concurrently.
public protocol SegmentationDataset: Sendable {
    /// The number of images.
    var count: Int { get }

    /// The name of an image, unique in the data set.
    func id(_ index: Int) -> String

    /// Reads an image and its labels. Throws `DatasetError`.
    func sample(_ index: Int) throws -> Sample

    /// Reads an image without its labels; by default that of the sample. Throws `DatasetError`.
    func image(_ index: Int) throws -> Image

    /// The masks of a sample, by default read with the sample; others do not decode the image. Throws `DatasetError`.
    func masks(_ index: Int) throws -> InstanceMasks?

    /// The number of the image that a sample shows, by default its own; samples of one image stay together in a split.
    func imageNumber(_ index: Int) -> Int

    /// The files of a sample by their paths below the data set's folder, the image first; none, the default, if unknown.
    func files(_ index: Int) -> [String]

    /// What the labels of an image hold; by default reads the sample.
    ///
    /// Throws `DatasetError`, also for an image whose file is known to be bad without decoding it.
    func survey(_ index: Int) throws -> ImageSurvey

    /// All faults of the files of an image, for a check; by default the error of reading the sample.
    func faults(_ index: Int) throws -> [DatasetError]

    /// One line that distinguishes an image from another of the same name without reading it; by default its name.
    func fingerprint(_ index: Int) -> String

    /// Image files in the data set's folder that it does not use; by default not looked for. Lists the folder.
    var unusedImages: UnusedImages? { get }

    /// How often each stored value of an image occurs; nil, the default, for images that come from no file.
    ///
    /// Throws `DatasetError`.
    func histogram(_ index: Int) throws -> SampleHistogram?

    /// The files that were read, so that a run can have them watched; nil, the default, if there are none.
    var seenFiles: SeenFiles? { get }

    /// The indices of the images for training and for evaluation, as split by the data set's authors or the WeSAM
    /// paper; `nil`, the default, if there is no established split.
    var publishedSplit: (training: [Int], evaluation: [Int])? { get }

    /// The indices of the training images that continual methods keep, as listed by the data set; `nil`, the default, if it
    /// lists none.
    var publishedMemory: [Int]? { get }
}

extension SegmentationDataset {
    public func image(_ index: Int) throws -> Image { try sample(index).image }
    public func masks(_ index: Int) throws -> InstanceMasks? { try sample(index).instances }
    public func imageNumber(_ index: Int) -> Int { index }
    public func files(_ index: Int) -> [String] { [] }
    public var publishedMemory: [Int]? { nil }
    public func survey(_ index: Int) throws -> ImageSurvey {
        let sample = try sample(index)
        return ImageSurvey(instances: sample.instanceCount, kinds: sample.labelKinds)
    }

    /// The number of labelled instances of an image. Throws as `survey(_:)` does.
    public func instanceCount(_ index: Int) throws -> Int { try survey(index).instances }
    public func fingerprint(_ index: Int) -> String { id(index) }
    public var unusedImages: UnusedImages? { nil }
    public func histogram(_ index: Int) throws -> SampleHistogram? { nil }
    public var seenFiles: SeenFiles? { nil }
    public func faults(_ index: Int) throws -> [DatasetError] {
        do {
            _ = try sample(index)
        } catch let error as DatasetError {
            return [error]
        }
        return []
    }
    public var publishedSplit: (training: [Int], evaluation: [Int])? { nil }

    /// The published split of at most `limit` images: the first ones of both parts, in proportion.
    ///
    /// The share of evaluation is rounded down, but is at least one image if two or more are left. `nil` is no limit.
    public func publishedSplit(limit: Int?) -> (training: [Int], evaluation: [Int])? {
        guard let split = publishedSplit, let limit else { return publishedSplit }
        let count = split.training.count + split.evaluation.count
        guard limit < count else { return split }
        var scored = limit * split.evaluation.count / max(count, 1)
        if scored == 0, limit >= 2, !split.evaluation.isEmpty { scored = 1 }
        let trained = min(max(limit, 0) - scored, split.training.count)
        return (Array(split.training.prefix(trained)), Array(split.evaluation.prefix(scored)))
    }
}

/// Some images of a data set, renumbered from 0.
public struct DatasetSubset: SegmentationDataset {
    private let base: any SegmentationDataset
    /// The index of each image in the whole data set.
    public let indices: [Int]

    /// Creates the subset with the given images, in the given order.
    public init(_ base: any SegmentationDataset, indices: [Int]) {
        precondition(indices.allSatisfy { $0 >= 0 && $0 < base.count }, "a subset of images that do not exist")
        self.base = base
        self.indices = indices
    }

    public var count: Int { indices.count }
    public func id(_ index: Int) -> String { base.id(indices[index]) }
    public func sample(_ index: Int) throws -> Sample { try base.sample(indices[index]) }
    public func image(_ index: Int) throws -> Image { try base.image(indices[index]) }
    public func survey(_ index: Int) throws -> ImageSurvey { try base.survey(indices[index]) }
    public func fingerprint(_ index: Int) -> String { base.fingerprint(indices[index]) }
    public func histogram(_ index: Int) throws -> SampleHistogram? { try base.histogram(indices[index]) }
    public func masks(_ index: Int) throws -> InstanceMasks? { try base.masks(indices[index]) }
    public func imageNumber(_ index: Int) -> Int { base.imageNumber(indices[index]) }
    public func files(_ index: Int) -> [String] { base.files(indices[index]) }
    public var seenFiles: SeenFiles? { base.seenFiles }
    /// Those of the whole data set's that are in the subset.
    public var publishedMemory: [Int]? {
        base.publishedMemory.map { memory in
            let kept = Set(memory)
            return indices.indices.filter { kept.contains(indices[$0]) }
        }
    }
}
