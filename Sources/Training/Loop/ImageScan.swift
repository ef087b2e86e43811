import Collectives
import Datasets

/// A look at the images of a run before it begins, shared out over the ranks: how many instances each has, and which
/// cannot be read.
struct ImageScan {
    /// Instances of every image that can be read, by its place in the list; nil for the others.
    let instances: [Int?]
    /// The images that cannot be read, in order.
    let unreadable: [UnreadableSample]

    /// Stands for an image that cannot be read.
    private static let fault: Int32 = -1

    /// Looks at images; the same result on every rank. Collective.
    ///
    /// - Parameters:
    ///   - indices: The images' places in the data set, the same on all ranks.
    ///   - firstNumber: The number in the run's data that the data set's first image has.
    ///
    /// Throws what is not the fault of one image: other errors than `DatasetError`, and those of other kinds.
    init(
        _ dataset: any SegmentationDataset, _ indices: [Int], firstNumber: Int, communicator: any Communicator
    ) throws {
        let (rank, ranks) = (communicator.rank, communicator.worldSize)
        var counts: [Int32] = []
        var findings = SampleFindings()
        communicator.phase = "look at images"
        for place in stride(from: rank, to: indices.count, by: ranks) {
            // Said for each, as a sign that this rank advances.
            communicator.activity.work(at: "reading labels")
            let index = indices[place]
            do {
                counts.append(Int32(clamping: try dataset.instanceCount(index)))
            } catch let error as DatasetError where error.concernsOneImage {
                counts.append(Self.fault)
                findings.unreadable.append(
                    UnreadableSample(
                        number: firstNumber + index, id: dataset.id(index), error, rank: rank,
                        host: communicator.hostName))
            }
        }
        communicator.activity.work(at: "computing")
        let parts = try communicator.allGather(bytes: counts.withUnsafeBytes { [UInt8]($0) }).map { part in
            part.withUnsafeBytes { raw in
                (0..<raw.count / 4).map { raw.loadUnaligned(fromByteOffset: $0 * 4, as: Int32.self) }
            }
        }
        instances = indices.indices.map { place in
            let count = parts[place % ranks][place / ranks]
            return count == Self.fault ? nil : Int(count)
        }
        unreadable = instances.contains(nil) ? try findings.gathered(communicator).unreadable : []
    }
}
