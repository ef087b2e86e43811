import AdaptationMethods
import Adapters
import Datasets
import Kernels
import Layers
import SegmentAnything
import Telemetry
import Tensors

// A refinement module is judged by what it makes of SAM's own masks (SUM, Liu et al. 2024, table 8): a point in each object with a
// true mask, SAM's best answer to it where it becomes a pair, and the same answer refined. Without trained values the
// answers themselves are scored, so that a run's scores before and after compare the two.

/// Scores refined masks, or those they are made from, of one image at its own size.
struct RefinementScoring {
    let subject: EvaluatedModel
    let pairs: RefinementPairMaker
    let kinds: [PromptKind]
    let decoderChunk: Int
    let seed: UInt64

    /// The values of an image, as `ImageScoring` lays them out: those of its pairs in the place of point prompts.
    func values(_ example: EvaluationExample, in workspace: Workspace) throws -> [Double] {
        let none = ImageScoring.noValues(kinds: kinds.count, vanished: example.vanished)
        guard case .one(let adapted) = subject, let place = kinds.firstIndex(of: .point), example.count > 0 else {
            return none
        }
        guard let masks = example.masks, let truths = example.originalMasks else {
            throw DatasetError.withoutMasks(example.id)
        }
        let (model, context, frame) = (adapted.model, adapted.context(in: workspace), example.frame)
        let features = model.encoder.encode(example.input, in: context.frozen)
        var generator = SeededGenerator(seed: seed, purpose: "refined masks of " + example.id)
        let found = try pairs.pairs(
            of: masks.bitmaps, area: .init(height: frame.resizedHeight, width: frame.resizedWidth),
            uniform: (0..<example.count).map { _ in generator.unit() }, on: features, of: model, in: context.frozen,
            chunk: decoderChunk)
        guard !found.isEmpty else { return none }
        let side = 4 * model.encoder.embeddingSide
        let logits =
            adapted.trained == nil
            ? Tensor(found.flatMap(\.prompt.logits.elements), [found.count, side, side])
            : try MaskRefinement.refined(found.map(\.prompt), on: features, by: model, in: context)
        var sums = ImageScoring.Sums(instances: found.count)
        for (row, pair) in found.enumerated() {
            let plane = logits.rows(row..<row + 1).reshaped([1, 1, side, side])
            let pixels = MaskPostprocessing.resize(plane, to: frame.maskFrame, in: workspace).elements
            let score = OriginalMaskScore(
                prediction: pixels.map { $0 > MaskPostprocessing.threshold },
                truth: truths.bitmap(of: pair.object).map { $0 != 0 }, width: truths.width, height: truths.height)
            sums.add(.iou, [score.iou])
            sums.add(.boundaryIoU, [score.boundaryIoU])
        }
        return none.indices.map { index in
            let own = index - ImageScoring.width * place
            return sums.values.indices.contains(own) ? sums.values[own] : none[index]
        }
    }
}
