import Collectives
import Datasets
import Evaluation
import Foundation
import Imaging
import Kernels
import ModelLoading
import Recipes
import SegmentAnything

/// Generates the labels of a run's images with the anchor before training, divided among the ranks (WeSAM's mode
/// without labels).
///
/// Each image's labels are a file of the run, written as soon as they are found, so a killed run continues where it
/// stopped, on any number of ranks. Labels depend only on the base model, the settings and the image.
struct AutomaticLabelling {
    let recipe: Recipe
    let folder: RunFolder
    let loaded: LoadedModel
    let communicator: any Communicator
    let workspace: Workspace
    let isStopRequested: @Sendable () -> Bool
    let notice: @Sendable (String) -> Void

    /// Thrown when all ranks were asked to stop; labels found so far are kept.
    struct StopRequested: Error {}

    /// Seconds between two progress lines.
    private static let patience = 30.0

    /// The data set with generated labels for the given images. Collective.
    ///
    /// An image that cannot be read stays without labels and reports its fault when it is read. Throws `ImagingError`
    /// if a file cannot be written, `SegmentAnythingError`, `CollectivesError`, and `StopRequested` if a rank was asked
    /// to stop.
    func label(
        _ dataset: any SegmentationDataset, _ indices: [Int], _ source: NamedSection<SourceSettings>
    ) throws -> any SegmentationDataset {
        let folder = recipe.data.sources.isEmpty ? folder.automatic : folder.automatic + "/" + source.name
        communicator.phase = "automatic labels"
        let labelled = AutomaticDataset(base: dataset, folder: folder, identity: identity(source.settings.options))
        if communicator.isRoot {
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        }
        try communicator.barrier()
        let segmenter = try AutomaticSegmenter(loaded, settings: settings, workspace: workspace)
        let own = stride(from: communicator.rank, to: indices.count, by: communicator.worldSize).map { indices[$0] }
        let todo = own.filter {
            AutomaticLabels(path: labelled.path($0), identity: labelled.identity($0)) == nil
        }
        let begin = ContinuousClock.now
        var (lastTold, found) = (begin, 0)
        let rounds = try communicator.allMaximum([todo.count])[0]
        for round in 0..<rounds {
            communicator.activity.work(at: "finding automatic labels")
            if round < todo.count { found += try find(todo[round], labelled, segmenter) }
            communicator.activity.work(at: "computing")
            guard try communicator.allMaximum([isStopRequested() ? 1 : 0])[0] == 0 else {
                if communicator.isRoot {
                    notice(
                        "stopped on request after \(round + 1) of \(rounds) images per rank; labels so far are kept")
                }
                throw StopRequested()
            }
            let now = ContinuousClock.now
            guard communicator.isRoot, now - lastTold > .seconds(Self.patience), round + 1 < todo.count else {
                continue
            }
            lastTold = now
            notice("automatic labels: \(round + 1) of \(todo.count) images on rank 0, \(found) masks")
        }
        let sums = try communicator.allGather(floats: [Float(todo.count), Float(found)])
        if communicator.isRoot {
            let (images, masks) = (sums.reduce(0) { $0 + Int($1[0]) }, sums.reduce(0) { $0 + Int($1[1]) })
            let seconds = (ContinuousClock.now - begin) / .seconds(1)
            notice(
                "automatic labels: \(masks) masks in \(images) images"
                    + String(format: ", %.0f s", seconds)
                    + (indices.count > images ? "; \(indices.count - images) images already labelled" : ""))
        }
        return labelled
    }

    /// Labels one image; returns the number of masks.
    private func find(_ index: Int, _ dataset: AutomaticDataset, _ segmenter: AutomaticSegmenter) throws -> Int {
        let image: Image
        do { image = try dataset.base.image(index) } catch let error as DatasetError where error.concernsOneImage {
            return 0
        }
        let labels = try segmenter.labels(of: image)
        try AutomaticLabels(
            labels, identity: dataset.identity(index), width: image.width, height: image.height
        ).write(to: dataset.path(index))
        return labels.count
    }

    private var settings: AutomaticMaskConfiguration {
        var settings = recipe.automatic
        // The result's bits depend on it, and a higher value doubles the memory for the same speed.
        settings.pointsPerBatch = 16
        return settings
    }

    private func identity(_ options: DatasetOptions) -> String {
        let own = recipe.automatic
        return "\(loaded.baseDigest) \(loaded.preprocessing.kind.rawValue) \(loaded.model.encoder.imageSize) "
            + "\(own.pointsPerSide) \(own.predictedIoUThreshold) \(own.stabilityScoreThreshold) \(own.boxSuppressionThreshold) \(own.cropLayers) "
            + "\(own.minimumRegionArea) \(options.exif.rawValue)"
    }
}
