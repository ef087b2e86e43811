import Collectives
import Datasets
import Evaluation

/// Scans the images of a run before it begins, divided among the ranks: the instances of each, and the unreadable ones.
struct ImageScan {
    /// The labels of each readable image, by its index in the data set.
    let summaries: [Int: (instances: Int, kinds: LabelKinds)]
    /// Indices of readable images without instances, in the order of the list.
    let empty: [Int]
    /// Unreadable images, in order.
    let unreadable: [UnreadableSample]
    /// What the readable images hold, added up.
    let labels: LabelSurvey

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
        // Instances and kinds of label of each image, one after the other.
        var counts: [Int32] = []
        var found: [UnreadableSample] = []
        var own = LabelSurvey()
        communicator.phase = "look at images"
        for place in stride(from: rank, to: indices.count, by: ranks) {
            // Updated for each image, as a sign that this rank advances.
            communicator.activity.work(at: "reading labels")
            let index = indices[place]
            do {
                let survey = try dataset.survey(index)
                own.add(survey)
                counts += [Int32(clamping: survey.instances), Int32(survey.kinds.rawValue)]
            } catch let error as DatasetError where error.concernsOneImage {
                counts += [Self.fault, 0]
                found.append(
                    UnreadableSample(
                        ImageID(source: source, index: firstIndex + index), id: dataset.id(index), error, rank: rank,
                        host: communicator.hostName))
            }
        }
        communicator.activity.work(at: "computing")
        let parts = try communicator.allGather(bytes: counts.withUnsafeBytes { [UInt8]($0) }).map { part in
            part.withUnsafeBytes { raw in
                (0..<raw.count / 8).map { image in
                    (
                        count: raw.loadUnaligned(fromByteOffset: image * 8, as: Int32.self),
                        kinds: raw.loadUnaligned(fromByteOffset: image * 8 + 4, as: Int32.self)
                    )
                }
            }
        }
        var labels = LabelSurvey()
        for part in try communicator.allGather(bytes: own.numbers.withUnsafeBytes { [UInt8]($0) }) {
            let numbers = part.withUnsafeBytes { raw in
                (0..<raw.count / 8).map { raw.loadUnaligned(fromByteOffset: $0 * 8, as: Int.self) }
            }
            LabelSurvey(numbers: numbers).map { labels.add($0) }
        }
        self.labels = labels
        let counted = indices.indices.map { parts[$0 % ranks][$0 / ranks] }
        summaries = Dictionary(
            zip(indices, counted).filter { $0.1.count != Self.fault }.map { index, labels in
                let kinds = LabelKinds(rawValue: UInt8(truncatingIfNeeded: labels.kinds))
                return (index, (Int(labels.count), kinds))
            }, uniquingKeysWith: { $1 })
        empty = zip(indices, counted).filter { $0.1.count == 0 }.map(\.0)
        let hasFaults = counted.contains { $0.count == Self.fault }
        unreadable = hasFaults ? try UnreadableSample.gather(found, communicator) : []
    }

    /// True if an image is readable and contains an instance.
    func hasInstances(_ index: Int) -> Bool { (summaries[index]?.instances ?? 0) > 0 }
}
