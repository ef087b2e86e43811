import Collectives
import Datasets
import Imaging

/// How the images of a source become 8 bits, and which of them have more.
package struct SourceIntensity: Sendable {
    /// The rule, its scope and the measured ranges.
    let entry: IntensityRecord.Entry
    /// Images of more than 8 bits that the scan has seen.
    let deepImages: Int
    /// The first of them: its path, depth and range. Known to rank 0 alone.
    let example: String?

    /// Describes a source after its scan.
    init(
        _ source: String, _ options: DatasetOptions, _ datasets: [(root: String, images: any SegmentationDataset)],
        _ communicator: any Communicator
    ) {
        entry = IntensityRecord.Entry(source: source, options)
        let paths = datasets.flatMap { root, images in
            (images.seenFiles?.deepImages ?? []).map { "\(root)/\($0)" }
        }
        deepImages = paths.count
        guard communicator.isRoot, let first = paths.first else {
            example = nil
            return
        }
        let image = try? ImageFile.decode(path: first, intensity: entry.intensity)
        example = image?.stored.map { "\(first): \($0.description)" }
    }

    /// Measures the ranges of a data set. Collective: each rank reads a share of the images, those that cannot be read
    /// are left out, as the scan will say.
    static func measure(
        _ dataset: any SegmentationDataset, _ indices: [Int], _ rule: Intensity.Rule,
        _ communicator: any Communicator
    ) throws -> Intensity.Ranges {
        communicator.phase = "measure intensities"
        var measurement = IntensityMeasurement()
        for place in stride(from: communicator.rank, to: indices.count, by: communicator.worldSize) {
            communicator.activity.work(at: "reading images")
            do { try measurement.add(dataset, indices[place]) } catch let error as DatasetError
                where error.concernsOneImage
            {
                continue
            }
        }
        communicator.activity.work(at: "computing")
        return IntensityMeasurement(counts: try communicator.reduceSum(measurement.counts)).ranges(rule)
    }

    /// One line about images of more than 8 bits; nil if there are none.
    func line(key: String) -> String? {
        guard deepImages > 0 else { return nil }
        let count = deepImages == 1 ? "1 image has" : "\(deepImages) images have"
        return "\(count) more than 8 bits, read with \(key)=\(entry.rule.rawValue)" + (example.map { "; \($0)" } ?? "")
    }
}

extension SegmentationDataset {
    /// Tells all ranks what each has read, and compares later readings with it. Collective.
    func watchFiles(_ communicator: any Communicator) throws {
        guard let seenFiles else { return }
        if communicator.worldSize > 1 {
            communicator.phase = "compare files"
            for record in try communicator.allGather(bytes: seenFiles.record) { seenFiles.merge(record) }
        }
        seenFiles.compare()
    }
}

extension TrainingData {
    /// How images were read, for the adapter file.
    var intensityRecord: IntensityRecord { IntensityRecord(intensities.map(\.entry)) }

    /// Lines about images of more than 8 bits, and whether each is a warning.
    func intensityLines(_ recipe: Recipe) -> [(text: String, isWarning: Bool)] {
        intensities.compactMap { source in
            guard let line = source.line(key: recipe.intensityKey(source.entry.source)) else { return nil }
            let isCut = source.entry.rule == .full
            return (isCut ? line + "; data.intensity=auto would scale them" : line, isCut)
        }
    }
}

extension Recipe {
    /// The key that decides how a source's images become 8 bits.
    func intensityKey(_ source: String) -> String {
        data.sources.isEmpty ? "data.intensity" : "data.sources.\(source).intensity"
    }
}
