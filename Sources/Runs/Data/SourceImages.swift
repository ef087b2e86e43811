import Collectives
import Datasets
import Evaluation
import Foundation
import Interaction
import Recipes

/// The images of one source: split, scanned, and numbered, before prompts are chosen.
struct SourceImages {
    /// How a source is used, besides its settings.
    struct Purpose {
        /// The source's index among the run's sources.
        let place: Int
        /// Maximum number of images to evaluate on; 0: all. Nil if nothing is evaluated.
        let evaluationLimit: Int?
        /// Replaces the labels of images; nil keeps them. Collective.
        let labelling: Labelling?
        /// Whether the labelling needs no labels, so that images without any can be compared with it.
        let findsLabels: Bool
    }

    /// Labels some images of a source.
    typealias Labelling = (
        _ dataset: any SegmentationDataset, _ images: [Int], _ source: NamedSection<SourceSettings>
    ) throws -> any SegmentationDataset

    /// Readable images with instances.
    struct Images {
        /// The data set they are read from.
        let dataset: any SegmentationDataset
        /// Their indices in it.
        var indices: [Int] = []
        /// Their labels.
        var labels: [(instances: Int, kinds: LabelKinds)] = []
        /// The number in the source of the data set's first image.
        var firstIndex = 0

        /// Those of the listed images that have instances.
        init(_ dataset: any SegmentationDataset, _ listed: [Int], _ scan: ImageScan, firstIndex: Int = 0) {
            (self.dataset, self.firstIndex) = (dataset, firstIndex)
            for index in listed {
                guard let labels = scan.summaries[index], labels.instances > 0 else { continue }
                indices.append(index)
                self.labels.append(labels)
            }
        }
    }

    /// The source's name.
    let name: String
    /// The source's index among the run's sources.
    let place: Int
    /// The domain its images belong to.
    let domain: String
    /// Its share of a batch.
    let share: Int
    /// The kind of task of its masks.
    let task: TaskKind
    /// Whether its images are only scored.
    let isOnlyScored: Bool
    /// Images to adapt to.
    let training: Images
    /// Images to evaluate on.
    private(set) var evaluation: Images
    /// Whether the images to evaluate on have no labels and are compared with masks that the unadapted model found.
    private(set) var isComparedWithModel = false
    /// Held-out images of a source without labels that have no masks to be scored by.
    let unscored: Int
    /// Maximum number of images to evaluate on; 0: all.
    let evaluationLimit: Int
    /// Images in the training part, before any is skipped.
    let listedForTraining: Int
    /// Images skipped because they have no labelled instance.
    let withoutInstances: Int
    /// Images skipped because they cannot be read.
    private(set) var unreadable: [UnreadableSample]
    /// What the labels hold, added up over all images but those with made labels.
    let labels: LabelSurvey
    /// Image files that the source does not use, on rank 0.
    let unused: [UnusedImages]
    /// Why there is no image to train on or none to score; nil if there is one or none was listed.
    let emptiness: (training: DatasetError?, evaluation: DatasetError?)
    /// How its images become 8 bits.
    let intensity: SourceIntensity

    /// Opens a source, splits it and scans every image. Collective; each rank scans a share of the images.
    ///
    /// Throws `DatasetError`, and `RunError` on all ranks if a rank has different images than rank 0.
    init(
        _ source: NamedSection<SourceSettings>, _ purpose: Purpose, _ communicator: any Communicator
    ) throws {
        let settings = source.settings
        (name, place) = (source.name, purpose.place)
        (share, task, isOnlyScored) = (settings.share, settings.task, settings.split == .evaluate)
        (domain, evaluationLimit) = (settings.domain ?? source.name, purpose.evaluationLimit ?? 0)
        let isScored = purpose.evaluationLimit != nil
        let (options, root, lists) = try Self.open(settings, isScored: isScored, communicator)
        let all = (lists.training + lists.evaluation).uniqued
        root.seenFiles?.begin()
        try RankAgreement.checkImages(root, all, "image", communicator)
        func scan(_ images: any SegmentationDataset, _ indices: [Int], firstIndex: Int = 0) throws -> ImageScan {
            try ImageScan(images, indices, source: purpose.place, firstIndex: firstIndex, communicator: communicator)
        }
        // With made labels, the instances of training images are counted in these, those of the others in their own.
        let isRelabelled = purpose.labelling != nil
        let ownScan = try isRelabelled ? scan(root, lists.evaluation) : scan(root, all)
        var relabelled = lists.training
        if purpose.findsLabels, isScored, settings.evaluationRoot == nil,
            !lists.evaluation.contains(where: ownScan.hasInstances)
        {
            relabelled = all
            isComparedWithModel = !lists.evaluation.isEmpty
        }
        var measured = source
        measured.settings.options = options
        let adapted = try purpose.labelling?(root, relabelled, measured) ?? root
        let adaptedScan = try isRelabelled ? scan(adapted, relabelled) : ownScan
        try root.watchFiles(communicator)
        training = Images(adapted, lists.training, adaptedScan)
        let (scored, scoredScan) = isComparedWithModel ? (adapted, adaptedScan) : (root, ownScan)
        evaluation = Images(scored, lists.evaluation, scoredScan)
        var (opened, labels) = ([(root: options.root, images: root)], scoredScan.labels)
        var unused = communicator.isRoot ? [root.unusedImages] : []
        var listedForEvaluation = lists.evaluation.count
        var unreadable = adaptedScan.unreadable.joined(ownScan.unreadable)
        if let path = settings.evaluationRoot {
            let (second, other) = try Self.openSecond(settings, options, at: path, communicator) {
                try scan($0, $1, firstIndex: root.count)
            }
            evaluation = Images(second, Array(0..<second.count), other, firstIndex: root.count)
            opened.append((path, second))
            unreadable += other.unreadable
            labels.add(other.labels)
            if communicator.isRoot { unused.append(second.unusedImages) }
            listedForEvaluation = second.count
        }
        intensity = SourceIntensity(source.name, options, opened, communicator)
        (self.unreadable, listedForTraining) = (unreadable, lists.training.count)
        // An image in both lists counts once.
        withoutInstances = Set(adaptedScan.empty + (isComparedWithModel ? [] : ownScan.empty)).count
        (self.labels, self.unused) = (labels, unused.compactMap { $0 })
        unscored =
            isRelabelled && !isComparedWithModel ? lists.evaluation.count(where: { !ownScan.hasInstances($0) }) : 0
        emptiness = (
            settings.emptiness(of: training, listedForTraining, "to train on", adaptedScan.labels),
            settings.emptiness(of: evaluation, listedForEvaluation, "to score", labels)
        )
    }

    /// Opens a source, with the ranges of intensities measured where the recipe asks for it, and splits it. Collective.
    private static func open(
        _ settings: SourceSettings, isScored: Bool, _ communicator: any Communicator
    ) throws -> (DatasetOptions, any SegmentationDataset, (training: [Int], evaluation: [Int])) {
        var options = settings.options
        var root = try DatasetRegistry.open(settings.format, options)
        var lists = try settings.lists(of: root, isScored: isScored)
        if !isScored { lists.evaluation = [] }
        if options.needsRanges {
            let all = (lists.training + lists.evaluation).uniqued
            options.measuredRanges = try SourceIntensity.measure(root, all, options.intensity, communicator)
            root = try DatasetRegistry.open(settings.format, options)
        }
        return (options, root, lists)
    }

    /// Opens the folder of the images to evaluate on and scans it. Collective.
    private static func openSecond(
        _ settings: SourceSettings, _ options: DatasetOptions, at path: String, _ communicator: any Communicator,
        _ scan: (any SegmentationDataset, [Int]) throws -> ImageScan
    ) throws -> (any SegmentationDataset, ImageScan) {
        var options = options
        options.root = path
        let second = try DatasetRegistry.open(settings.format, options)
        let indices = Array(0..<second.count)
        second.seenFiles?.begin()
        try RankAgreement.checkImages(second, indices, "evaluation image", communicator)
        let found = try scan(second, indices)
        try second.watchFiles(communicator)
        return (second, found)
    }

    /// Adds the images whose labels do not give the chosen prompts to the unreadable ones.
    ///
    /// - Parameter host: The host of rank 0, which speaks for all: every rank knows the labels.
    mutating func apply(_ choice: PromptChoice, host: String) {
        var known = Set(unreadable.map(\.image))
        for (images, fault) in [(training, choice.trainingFault), (evaluation, choice.evaluationFault)] {
            for place in images.indices.indices {
                let name = images.dataset.id(images.indices[place])
                let image = id(images, place)
                guard let error = fault(images.labels[place].kinds, name), known.insert(image).inserted else {
                    continue
                }
                unreadable.append(UnreadableSample(image, id: name, error, rank: 0, host: host))
            }
        }
    }
}

extension SourceImages {
    /// The images to adapt to that can be used, and their names in the run.
    var usableForTraining: (images: DatasetSubset, ids: [ImageID], mostInstances: Int) {
        let usable = usable(training)
        return (
            DatasetSubset(training.dataset, indices: usable.map { training.indices[$0] }),
            usable.map { id(training, $0) }, usable.map { training.labels[$0].instances }.max() ?? 0
        )
    }

    /// The images to evaluate on that can be used, and their names in the run.
    var usableForEvaluation: (images: DatasetSubset, ids: [ImageID]) {
        let all = usable(evaluation)
        let usable = evaluationLimit > 0 ? Array(all.prefix(evaluationLimit)) : all
        return (
            DatasetSubset(evaluation.dataset, indices: usable.map { evaluation.indices[$0] }),
            usable.map { id(evaluation, $0) }
        )
    }

    private func id(_ images: Images, _ place: Int) -> ImageID {
        ImageID(source: self.place, index: images.firstIndex + images.indices[place])
    }

    private func usable(_ images: Images) -> [Int] {
        let bad = Set(unreadable.map(\.image))
        return images.indices.indices.filter { !bad.contains(id(images, $0)) }
    }
}

extension SourceSettings {
    /// The error of listed images without a single instance; nil if one has some, or none is listed.
    fileprivate func emptiness(
        of images: SourceImages.Images, _ listed: Int, _ purpose: String, _ labels: LabelSurvey
    ) -> DatasetError? {
        guard images.indices.isEmpty, listed > 0 else { return nil }
        let (problem, remedy) = labels.reasonWithoutInstances(format: format, options)
        return DatasetError(
            .emptyDataset, at: options.root,
            "none of its \(listed) images \(purpose) has a labelled instance: \(problem)", remedy: remedy)
    }

    /// The indices in the data set to train and evaluate on, before any is skipped.
    ///
    /// - Parameter isScored: False if nothing is evaluated; images are then held out only where the recipe says so.
    fileprivate func lists(
        of dataset: any SegmentationDataset, isScored: Bool
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
        if split == .evaluate {
            let all = Array(KToOneSplit.samplesByImage(dataset).prefix(most ?? dataset.count).joined())
            return ([], evaluationRoot == nil ? all : [])
        }
        let holdsOut = split != .published || isScored
        guard evaluationRoot == nil, holdsOut, let k = split.trainingImagesPerEvaluationImage else {
            let all = Array(KToOneSplit.samplesByImage(dataset).prefix(most ?? dataset.count).joined())
            return (all, evaluationRoot == nil ? all : [])
        }
        let seed = splitSeed.map { UInt64(bitPattern: Int64($0)) }
        return KToOneSplit(k: k, limit: most, seed: seed).apply(to: dataset)
    }
}

extension [UnreadableSample] {
    /// These, and those of others that concern further images.
    fileprivate func joined(_ others: [UnreadableSample]) -> [UnreadableSample] {
        let known = Set(map(\.image))
        return self + others.filter { !known.contains($0.image) }
    }
}

extension [Int] {
    /// The distinct numbers, ascending.
    fileprivate var uniqued: [Int] { Set(self).sorted() }
}
