import Collectives
import Datasets
import Evaluation

/// Scans the images of a run before it begins, divided among the ranks: the instances of each, and the unreadable ones.
struct ImageScan {
    /// Number of instances of each readable image, by its index in the data set.
    let instances: [Int: Int]
    /// Indices of readable images without instances, in the order of the list.
    let empty: [Int]
    /// Unreadable images, in order.
    let unreadable: [UnreadableSample]

    /// Marks an unreadable image.
    private static let fault: Int32 = -1

    /// Scans images; the result is the same on every rank. Collective.
    ///
    /// - Parameters:
    ///   - indices: The images' indices in the data set, the same on all ranks.
    ///   - source: The source's index among the run's sources.
    ///   - firstIndex: The index in the source of the data set's first image.
    ///
    /// Throws errors that are not the fault of one image: those of types other than `DatasetError`, and `DatasetError`s
    /// of other kinds.
    init(
        _ dataset: any SegmentationDataset, _ indices: [Int], source: Int, firstIndex: Int,
        communicator: any Communicator
    ) throws {
        let (rank, ranks) = (communicator.rank, communicator.worldSize)
        var counts: [Int32] = []
        var found: [UnreadableSample] = []
        communicator.phase = "look at images"
        for place in stride(from: rank, to: indices.count, by: ranks) {
            // Updated for each image, as a sign that this rank advances.
            communicator.activity.work(at: "reading labels")
            let index = indices[place]
            do {
                counts.append(Int32(clamping: try dataset.instanceCount(index)))
            } catch let error as DatasetError where error.concernsOneImage {
                counts.append(Self.fault)
                found.append(
                    UnreadableSample(
                        ImageID(source: source, index: firstIndex + index), id: dataset.id(index), error, rank: rank,
                        host: communicator.hostName))
            }
        }
        communicator.activity.work(at: "computing")
        let parts = try communicator.allGather(bytes: counts.withUnsafeBytes { [UInt8]($0) }).map { part in
            part.withUnsafeBytes { raw in
                (0..<raw.count / 4).map { raw.loadUnaligned(fromByteOffset: $0 * 4, as: Int32.self) }
            }
        }
        let counted = indices.indices.map { parts[$0 % ranks][$0 / ranks] }
        instances = Dictionary(
            zip(indices, counted).filter { $0.1 != Self.fault }.map { ($0.0, Int($0.1)) }, uniquingKeysWith: { $1 })
        empty = zip(indices, counted).filter { $0.1 == 0 }.map(\.0)
        unreadable = counted.contains(Self.fault) ? try UnreadableSample.gather(found, communicator) : []
    }

    /// True if an image is readable and contains an instance.
    func hasInstances(_ index: Int) -> Bool { (instances[index] ?? 0) > 0 }
}
