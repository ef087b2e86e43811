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

/// Makes the labels of a run's images with the anchor before training, divided among the ranks: from nothing (WeSAM's
/// mode without labels), or from annotated boxes and points.
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

    /// What the labels are called in messages.
    private var name: String { recipe.prompts.source == .pseudo ? "pseudo masks" : "automatic labels" }

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
        communicator.phase = name
        let labelled = AutomaticDataset(base: dataset, folder: folder, identity: identity(source.settings.options))
        if communicator.isRoot {
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        }
        try communicator.barrier()
        let ground = HeldFolder(self.folder.path)
        let find = try finder()
        let own = stride(from: communicator.rank, to: indices.count, by: communicator.worldSize).map { indices[$0] }
        let todo = own.filter {
            AutomaticLabels(path: labelled.path($0), identity: labelled.identity($0)) == nil
        }
        let begin = ContinuousClock.now
        var (lastTold, found, leftOut) = (begin, 0, 0)
        let rounds = try communicator.allMaximum([todo.count])[0]
        let total = try communicator.allGather(floats: [Float(todo.count)]).reduce(0) { $0 + Int($1[0]) }
        for round in 0..<rounds {
            communicator.activity.work(at: "finding \(name)")
            if round < todo.count, let labels = try label(todo[round], labelled, find, on: ground) {
                (found, leftOut) = (found + labels.kept.count, leftOut + labels.leftOut)
            }
            communicator.activity.work(at: "computing")
            let isLost = self.folder.lock?.loss != nil || ground.map { !$0.isInPlace } ?? false
            let wishes = try communicator.allMaximum([isStopRequested() ? 1 : 0, isLost ? 1 : 0])
            guard wishes[1] == 0 else { throw lostFolder }
            guard wishes[0] == 0 else {
                if communicator.isRoot {
                    notice(
                        "stopped on request after \(round + 1) of \(rounds) images per rank; labels so far are kept")
                }
                throw StopRequested()
            }
            let now = ContinuousClock.now
            guard communicator.isRoot, now - lastTold > .seconds(Self.patience), round + 1 < rounds else { continue }
            lastTold = now
            let remaining = (now - begin) / .seconds(1) * Double(rounds - round - 1) / Double(round + 1)
            notice(
                "\(name): \(min((round + 1) * communicator.worldSize, total)) of \(total) images, "
                    + "eta \(TextSink.duration(remaining))")
        }
        try report([todo.count, found, leftOut], listed: indices.count, since: begin)
        return labelled
    }

    /// Tells how many images and masks all ranks made. Collective.
    ///
    /// - Parameter counts: This rank's images, masks, and instances left out.
    private func report(_ counts: [Int], listed: Int, since begin: ContinuousClock.Instant) throws {
        let all = try communicator.allGather(floats: counts.map { Float($0) })
        guard communicator.isRoot else { return }
        let sums = counts.indices.map { column in all.reduce(0) { $0 + Int($1[column]) } }
        let seconds = (ContinuousClock.now - begin) / .seconds(1)
        notice(
            "\(name): \(sums[1]) masks in \(sums[0]) images" + String(format: ", %.0f s", seconds)
                + (sums[2] > 0 ? "; \(sums[2]) instances left out, whose masks contradict their annotation" : "")
                + (listed > sums[0] ? "; \(listed - sums[0]) images already labelled" : ""))
    }

    /// Makes the labels of one image.
    private typealias Finder = (_ dataset: any SegmentationDataset, _ index: Int) throws -> (
        labels: PseudoSegmenter.Labels, width: Int, height: Int
    )

    private func finder() throws -> Finder {
        if recipe.prompts.source == .pseudo {
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

    /// The error of a run whose folder was renamed, removed, or given to another.
    private var lostFolder: any Error {
        folder.lock?.loss
            ?? RunError(
                .cannotWrite, "\(folder.path) was renamed, removed or given to another run",
                remedy: "nothing more was written; choose another run.name")
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

    private func identity(_ options: DatasetOptions) -> String {
        let own = recipe.automatic
        guard recipe.prompts.source == .automatic else {
            return "pseudo \(loaded.baseDigest) \(loaded.preprocessing.kind.rawValue) "
                + "\(loaded.model.encoder.imageSize) \(options.exif.rawValue) \(options.labelRules.rawValue) "
                + "\(options.binariseThreshold.map { String($0) } ?? "-")"
        }
        return "\(loaded.baseDigest) \(loaded.preprocessing.kind.rawValue) \(loaded.model.encoder.imageSize) "
            + "\(own.pointsPerSide) \(own.predictedIoUThreshold) \(own.stabilityScoreThreshold) \(own.boxSuppressionThreshold) \(own.cropLayers) "
            + "\(own.minimumRegionArea) \(options.exif.rawValue)" + Self.reading(options)
    }
}
