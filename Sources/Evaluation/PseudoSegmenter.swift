public import Adapters
public import Datasets
import Imaging
public import Kernels
public import ModelLoading

// A box prompts one mask. A point may mean a part, an object or a group, so points prompt SAM's three candidates, of
// which the one that contradicts the fewest annotated points is taken, and among those the one with the highest
// predicted IoU. A mask is kept if it agrees with its own weak label:
//   box:    IoU of the mask's tight box with the annotated box >= 0.5
//   points: every point of the instance on its side, and the first points of all other instances outside

/// Completes annotated boxes, points or outlines to masks, as labels for training.
public struct PseudoSegmenter {
    /// The labels of an image.
    public struct Labels: Sendable, Equatable {
        /// The instances whose masks agree with their weak labels, in order.
        public let kept: [AutomaticSegmenter.Label]
        /// The number of instances that were left out.
        public let leftOut: Int

        /// Creates labels.
        public init(kept: [AutomaticSegmenter.Label], leftOut: Int) { (self.kept, self.leftOut) = (kept, leftOut) }
    }

    private let segmenter: ImageSegmenter

    /// The smallest IoU of a mask's tight box with the annotated one.
    static let leastBoxIoU = 0.5

    /// Creates a segmenter from a model, with or without adaptation.
    public init(_ loaded: LoadedModel, adapted: AdaptedModel? = nil, workspace: Workspace) {
        segmenter = ImageSegmenter(loaded, adapted: adapted, workspace: workspace)
    }

    /// The masks of a sample's instances; independent of the number of threads.
    ///
    /// Throws `SegmentAnythingError` for prompts the model does not support, and `ShapeFault` for an image with more
    /// pixels than an encoding supports.
    public func labels(of sample: Sample) throws -> Labels {
        let weak = (0..<sample.instanceCount).map { WeakLabel(sample, $0) }
        let firsts = weak.map { $0.points.first(where: \.isForeground) }
        let hasBoxes = weak.allSatisfy { $0.box != nil }
        let objects = weak.map { ImageSegmenter.ObjectPrompt(box: $0.box, points: $0.points) }
        let (width, height) = (sample.image.width, sample.image.height)
        let kept = try segmenter.candidates(sample.image, objects, multimask: !hasBoxes) {
            instance, masks -> AutomaticSegmenter.Label? in
            let own = weak[instance]
            let others = firsts.enumerated().compactMap { $0.offset == instance ? nil : $0.element }
            let measured = masks.enumerated().map { candidate, mask -> Measured in
                let prediction = WeakLabelMetrics(prediction: mask.pixels, width: width, height: height)
                let outside =
                    own.box == nil
                    ? others.map { LabelledPoint(x: $0.x, y: $0.y, isForeground: false) } : []
                return (candidate, mask, prediction.hits(own.points + outside).count { $0 == 0 })
            }
            guard let best = measured.min(by: Self.isBetter) else { return nil }
            let prediction = WeakLabelMetrics(prediction: best.mask.pixels, width: width, height: height)
            guard let tight = prediction.tightBox else { return nil }
            if let box = own.box {
                guard prediction.boxIoU(with: box) >= Self.leastBoxIoU else { return nil }
            } else {
                guard best.contradictions == 0 else { return nil }
            }
            let mask = try RunLengthEncoding(rows: best.mask.pixels, width: width, height: height)
            let origin = MaskOrigin(box: own.box, points: own.points, candidate: hasBoxes ? nil : best.candidate)
            return AutomaticSegmenter.Label(box: own.box ?? tight, mask: mask, origin: origin)
        }.chosen
        return Labels(kept: kept, leftOut: weak.count - kept.count)
    }

    /// One of the masks of an instance, and how many annotated points it contradicts.
    private typealias Measured = (candidate: Int, mask: ImageSegmenter.Mask, contradictions: Int)

    private static func isBetter(_ one: Measured, _ other: Measured) -> Bool {
        one.contradictions != other.contradictions
            ? one.contradictions < other.contradictions : one.mask.predictedIoU > other.mask.predictedIoU
    }
}

/// What was annotated of one instance.
private struct WeakLabel {
    /// The box, or the one around the outline.
    let box: Box?
    /// The points.
    let points: [LabelledPoint]

    init(_ sample: Sample, _ instance: Int) {
        box = sample.boxes?[instance] ?? sample.polygons?[instance].bounds ?? sample.instances?.box(of: instance)
        points = sample.points?[instance] ?? []
    }
}
