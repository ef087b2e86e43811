/// A collection of images with labels, in a fixed order.
///
/// Samples are numbered from 0 in an order that does not depend on the machine or the file system. Every method may be
/// called from several threads at once.
public protocol SegmentationDataset: Sendable {
    /// The number of images.
    var count: Int { get }

    /// The name of an image, unique in the data set.
    func id(_ index: Int) -> String

    /// Reads an image and its labels. Throws `DatasetError`.
    func sample(_ index: Int) throws -> Sample

    /// The number of labelled instances of an image; by default reads the sample.
    ///
    /// Throws `DatasetError`, also for an image whose file can be seen to be bad without decoding it.
    func instanceCount(_ index: Int) throws -> Int

    /// What tells an image from another of the same name without reading it, on one line; by default its name.
    func fingerprint(_ index: Int) -> String
}

extension SegmentationDataset {
    public func instanceCount(_ index: Int) throws -> Int { try sample(index).instanceCount }
    public func fingerprint(_ index: Int) -> String { id(index) }
}

/// Some images of a data set, renumbered from 0.
public struct DatasetSubset: SegmentationDataset {
    private let base: any SegmentationDataset
    /// The number each image has in the whole data set.
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
    public func instanceCount(_ index: Int) throws -> Int { try base.instanceCount(indices[index]) }
    public func fingerprint(_ index: Int) -> String { base.fingerprint(indices[index]) }
}
