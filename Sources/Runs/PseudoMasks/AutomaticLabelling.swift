import AdaptationMethods
import CheckpointStore
import Collectives
import Datasets
import Evaluation
import Foundation
import Imaging
import Kernels
import ModelLoading
import Recipes
import SegmentAnything
import Telemetry

/// Makes the labels of a run's images with the unadapted model before training, divided among the ranks: from nothing, or from
/// annotated boxes and points; and for a method that asks for them, maps of how far they can be trusted.
///
/// Each image's labels are a file of the run or of its store, written as soon as they are found, so a killed run continues
/// where it stopped, on any number of ranks. Labels depend only on the base model, the settings and the image.
struct AutomaticLabelling {
    let recipe: Recipe
    let loaded: LoadedModel
    let rounds: ImageRounds
    let workspace: Workspace
    /// The folder of the labels: the run's own, or the store of several runs.
    let place: String
    /// The file of the refinement module, if maps are made with one.
    var refiner: String?

    /// The data set with generated labels for the given images, and with its own for a source that has true ones. Collective.
    ///
    /// An image that cannot be read stays without labels and reports its fault when it is read. Throws `ImagingError`
    /// if a file cannot be written, `SegmentAnythingError`, `CollectivesError`, and `StopRequested` if a rank was asked
    /// to stop.
    func label(
        _ dataset: any SegmentationDataset, _ indices: [Int], _ source: NamedSection<SourceSettings>
    ) throws -> any SegmentationDataset {
        guard let kind = recipe.madeLabels(of: source.settings) else { return dataset }
        let below = recipe.data.sources.isEmpty ? "" : "/" + source.name
        let labelled = AutomaticDataset(
            base: dataset, folder: place + "/automatic" + below,
            identity: identity(kind, source.settings.options), needsOrigins: recipe.adaptationMethod.pseudoMasks != nil)
        try rounds.makeFolder(labelled.folder)
        let find = try finder(kind)
        let own = rounds.share(of: indices)
        if let store = recipe.adaptationMethod.pseudoMasks?.store, !store.isEmpty,
            let foreign = own.first(where: {
                AutomaticLabels.isForeign(path: labelled.path($0), identity: labelled.identity($0))
            })
        {
            throw RunError(
                .configuration, "\(labelled.path(foreign)) is of other inputs: another model, automatic.* or image",
                remedy: "choose another method.store, or remove its labels and maps")
        }
        let done = try rounds.run(kind.name, own.filter { labelled.stored($0) == nil }, counts: 2) { image, ground in
            let labels = try label(image, labelled, find, on: ground)
            return [labels?.kept.count ?? 0, labels?.leftOut ?? 0]
        }
        report(kind, done, listed: indices.count)
        guard let plan = recipe.adaptationMethod.pseudoMasks, plan.uncertainty != .none else { return labelled }
        return try UncertaintyMapping(
            plan: plan, loaded: loaded, rounds: rounds, workspace: workspace, folder: place + "/maps" + below,
            refiner: refiner
        ).map(labelled, indices)
    }

    /// Tells how many images and masks all ranks made.
    private func report(_ kind: MadeLabels, _ done: ImageRounds.Done, listed: Int) {
        guard rounds.communicator.isRoot else { return }
        let (found, leftOut) = (done.counts[0], done.counts[1])
        rounds.notice(
            "\(kind.name): \(found) masks in \(done.images) images" + String(format: ", %.0f s", done.seconds)
                + (leftOut > 0 ? "; \(leftOut) instances left out, whose masks contradict their annotation" : "")
                + (listed > done.images ? "; \(listed - done.images) images already labelled" : ""))
    }

    /// Makes the labels of one image.
    private typealias Finder = (_ dataset: any SegmentationDataset, _ index: Int) throws -> (
        labels: PseudoSegmenter.Labels, width: Int, height: Int
    )

    private func finder(_ kind: MadeLabels) throws -> Finder {
        if kind == .completed {
            let segmenter = PseudoSegmenter(loaded, workspace: workspace)
            return { dataset, index in
                let sample = try dataset.sample(index)
                return (try segmenter.labels(of: sample), sample.image.width, sample.image.height)
            }
        }
        let segmenter = try AutomaticSegmenter(loaded, settings: settings, workspace: workspace)
        return { dataset, index in
            let image = try dataset.image(index)
            return (.init(kept: try segmenter.labels(of: image), leftOut: 0), image.width, image.height)
        }
    }

    /// Labels one image and stores the labels; nil for an image that cannot be read, which reports its own fault.
    private func label(
        _ index: Int, _ dataset: AutomaticDataset, _ find: Finder, on ground: HeldFolder?
    ) throws -> PseudoSegmenter.Labels? {
        do {
            let found = try find(dataset.base, index)
            // The end of the round notices it on all ranks.
            guard ground?.isInPlace ?? true else { return nil }
            try AutomaticLabels(
                found.labels.kept, identity: dataset.identity(index), width: found.width, height: found.height
            ).write(to: dataset.path(index))
            return found.labels
        } catch let error as DatasetError where error.concernsOneImage {
            return nil
        }
    }

    private var settings: AutomaticMaskConfiguration {
        var settings = recipe.automatic
        // The result's bits depend on it, and a higher value doubles the memory for the same speed.
        settings.pointsPerBatch = 16
        return settings
    }

    /// How images became 8 bits; nothing for the reading of earlier versions, whose labels stay valid.
    private static func reading(_ options: DatasetOptions) -> String {
        options.intensity == .full ? "" : " " + IntensityRecord.Entry(source: "", options).reading
    }

    private func identity(_ kind: MadeLabels, _ options: DatasetOptions) -> String {
        let own = recipe.automatic
        guard kind == .found else {
            return "pseudo \(loaded.baseDigest) \(loaded.preprocessing.kind.rawValue) "
                + "\(loaded.model.encoder.imageSize) \(options.exif.rawValue) \(options.labelRules.rawValue) "
                + "\(options.binariseThreshold.map { String($0) } ?? "-")"
        }
        return "\(loaded.baseDigest) \(loaded.preprocessing.kind.rawValue) \(loaded.model.encoder.imageSize) "
            + "\(own.pointsPerSide) \(own.predictedIoUThreshold) \(own.stabilityScoreThreshold) \(own.boxSuppressionThreshold) \(own.cropLayers) "
            + "\(own.minimumRegionArea) \(options.exif.rawValue)" + Self.reading(options)
    }
}
