import Collectives
import Datasets
import Evaluation
import Foundation
import Recipes

/// The images of one source: split, scanned, and numbered.
struct SourceImages {
    /// How a source is used, besides its settings.
    struct Purpose {
        /// The source's index among the run's sources.
        let place: Int
        /// Maximum number of images to evaluate on; 0: all.
        let evaluationLimit: Int
        /// Replaces the labels of the images to adapt to; nil keeps them. Collective.
        let labelling: Labelling?
    }

    /// Labels some images of a source.
    typealias Labelling = (
        _ dataset: any SegmentationDataset, _ training: [Int], _ source: NamedSection<SourceSettings>
    ) throws -> any SegmentationDataset

    /// The source's name.
    let name: String
    /// The domain its images belong to.
    let domain: String
    /// Its share of a batch.
    let share: Int
    /// Images to adapt to, and their names in the run.
    let training: DatasetSubset
    let trainingIDs: [ImageID]
    /// Images to evaluate on, and their names in the run.
    let evaluation: DatasetSubset
    let evaluationIDs: [ImageID]
    /// Images in the training part, before any is skipped.
    let listedForTraining: Int
    /// Images skipped because they have no labelled instance.
    let withoutInstances: Int
    /// The largest number of instances in a training image.
    let mostInstances: Int
    /// Images skipped because they cannot be read.
    let unreadable: [UnreadableSample]

    /// Opens a source, splits it and scans every image. Collective; each rank scans a share of the images.
    ///
    /// Throws `DatasetError`, and `RunError` on all ranks if a rank has different images than rank 0.
    init(
        _ source: NamedSection<SourceSettings>, _ purpose: Purpose, _ communicator: any Communicator
    ) throws {
        let (settings, place) = (source.settings, purpose.place)
        (name, domain, share) = (source.name, settings.domain ?? source.name, settings.share)
        let root = try DatasetRegistry.open(settings.format, settings.options)
        let lists = try settings.lists(of: root)
        let all = (lists.training + lists.evaluation).uniqued
        try RankAgreement.checkImages(root, all, "image", communicator)

        let adapted = try purpose.labelling?(root, lists.training, source) ?? root
        // With generated labels, the instances of training images are counted in these, those of the others in the
        // original labels.
        let isRelabelled = purpose.labelling != nil
        let scan = try ImageScan(
            adapted, isRelabelled ? lists.training : all, source: place, firstIndex: 0, communicator: communicator)
        let ownScan =
            isRelabelled
            ? try ImageScan(root, lists.evaluation, source: place, firstIndex: 0, communicator: communicator) : scan
        training = DatasetSubset(adapted, indices: lists.training.filter(scan.hasInstances))
        trainingIDs = training.indices.map { ImageID(source: place, index: $0) }

        var scored = DatasetSubset(root, indices: lists.evaluation.filter(ownScan.hasInstances))
        var first = 0
        var unreadable = scan.unreadable
        let known = Set(unreadable.map(\.image))
        unreadable += isRelabelled ? ownScan.unreadable.filter { !known.contains($0.image) } : []
        if let path = settings.evaluationRoot {
            var options = settings.options
            options.root = path
            let second = try DatasetRegistry.open(settings.format, options)
            try RankAgreement.checkImages(second, Array(0..<second.count), "evaluation image", communicator)
            let other = try ImageScan(
                second, Array(0..<second.count), source: place, firstIndex: root.count, communicator: communicator)
            scored = DatasetSubset(second, indices: (0..<second.count).filter(other.hasInstances))
            (first, unreadable) = (root.count, unreadable + other.unreadable)
        }
        let most = purpose.evaluationLimit > 0 ? min(purpose.evaluationLimit, scored.count) : scored.count
        evaluation = DatasetSubset(scored, indices: Array(0..<most))
        evaluationIDs = scored.indices.prefix(most).map { ImageID(source: place, index: first + $0) }
        listedForTraining = lists.training.count
        // An image in both lists counts once.
        withoutInstances = Set(scan.empty + (isRelabelled ? ownScan.empty : [])).count
        mostInstances = training.indices.map { scan.instances[$0] ?? 0 }.max() ?? 0
        self.unreadable = unreadable
    }
}

extension SourceSettings {
    /// The indices in the data set to train and evaluate on, before any is skipped.
    fileprivate func lists(
        of dataset: any SegmentationDataset
    ) throws -> (training: [Int], evaluation: [Int]) {
        let most = limit > 0 ? limit : nil
        if evaluationRoot == nil, split == .published, let published = dataset.publishedSplit(limit: most) {
            guard splitSeed == nil else {
                throw DatasetError(
                    .invalidOption, at: "data.splitSeed", "the published split of \(format) is fixed, not drawn",
                    remedy: "set data.split=k:1 to draw one, or data.splitSeed=none")
            }
            return published
        }
        guard evaluationRoot == nil, let k = split.trainingImagesPerEvaluationImage else {
            let all = Array(0..<min(dataset.count, most ?? dataset.count))
            return (all, evaluationRoot == nil ? all : [])
        }
        let seed = splitSeed.map { UInt64(bitPattern: Int64($0)) }
        return KToOneSplit(k: k, limit: most, seed: seed).apply(count: dataset.count)
    }
}

extension [Int] {
    /// The distinct numbers, ascending.
    fileprivate var uniqued: [Int] { Set(self).sorted() }
}
