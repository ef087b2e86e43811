import Collectives
import Datasets
import Evaluation

/// A look at the images of a run before it begins, shared out over the ranks: how many instances each has, and which
/// cannot be read.
struct ImageScan {
    /// Instances of every image that can be read, by its place in the data set.
    let instances: [Int: Int]
    /// The places of images that can be read and hold no instance, in the order of the list.
    let empty: [Int]
    /// The images that cannot be read, in order.
    let unreadable: [UnreadableSample]

    /// Stands for an image that cannot be read.
    private static let fault: Int32 = -1

    /// Looks at images; the same result on every rank. Collective.
    ///
    /// - Parameters:
    ///   - indices: The images' places in the data set, the same on all ranks.
    ///   - source: The source's place among the run's.
    ///   - firstIndex: The place in the source that the data set's first image has.
    ///
    /// Throws what is not the fault of one image: other errors than `DatasetError`, and those of other kinds.
    init(
        _ dataset: any SegmentationDataset, _ indices: [Int], source: Int, firstIndex: Int,
        communicator: any Communicator
    ) throws {
        let (rank, ranks) = (communicator.rank, communicator.worldSize)
        var counts: [Int32] = []
        var found: [UnreadableSample] = []
        communicator.phase = "look at images"
        for place in stride(from: rank, to: indices.count, by: ranks) {
            // Said for each, as a sign that this rank advances.
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

    /// Whether an image can be read and holds an instance.
    func hasInstances(_ index: Int) -> Bool { (instances[index] ?? 0) > 0 }
}
