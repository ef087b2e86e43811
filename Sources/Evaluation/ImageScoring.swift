import Datasets
import Imaging
import Kernels
import Routing
import SegmentAnything
import Telemetry
import Tensors

/// Scores a model on one image for every kind of prompt: against masks if there are any, otherwise against annotated
/// boxes and points.
struct ImageScoring {
    let subject: EvaluatedModel
    let kinds: [PromptKind]
    /// A pixel is mask if its logit is above 0 or, for any other threshold, at least the threshold.
    let threshold: Float
    let decoderChunk: Int
    let measuresBoundaries: Bool

    /// Values per kind of prompt: the number of instances, then for each measure its count and sum.
    static let width = 1 + 2 * EvaluationScores.Measure.allCases.count

    /// The score encoded by an image's values for one kind of prompt; nil without an instance.
    static func score(_ values: [Double], id: String) -> Evaluator.ImageScore? {
        guard values[0] > 0 else { return nil }
        var scores = EvaluationScores()
        for (place, measure) in EvaluationScores.Measure.allCases.enumerated() where values[1 + 2 * place] > 0 {
            scores[measure] = values[2 + 2 * place] / values[1 + 2 * place]
        }
        return Evaluator.ImageScore(id: id, instances: Int(values[0]), scores: scores)
    }

    /// Counts and sums of an image.
    struct Sums {
        private(set) var values: [Double]

        init(instances: Int) {
            values = [Double](repeating: 0, count: ImageScoring.width)
            values[0] = Double(instances)
        }

        mutating func add(_ measure: EvaluationScores.Measure, _ scores: [Double]) {
            guard let place = EvaluationScores.Measure.allCases.firstIndex(of: measure) else { return }
            values[1 + 2 * place] += Double(scores.count)
            values[2 + 2 * place] = scores.reduce(values[2 + 2 * place], +)
        }
    }

    /// The values of an image that cannot be read or has no instance, with no route.
    ///
    /// - Parameter vanished: Its instances without a pixel in the model frame.
    static func noValues(kinds: Int, vanished: Int = 0) -> [Double] {
        [Double](repeating: 0, count: width * kinds) + [Double(vanished), -1]
    }

    /// Instances of an image without a pixel in the model frame, which an image's last value but one counts.
    static func vanished(_ values: [Double]) -> Int { Int(values[values.count - 2]) }

    /// The route that an image's last value encodes: a domain of the router, nil for the model without an adapter; nil
    /// where there is no router.
    static func route(_ values: [Double]) -> Int?? {
        guard let code = values.last, code >= 0 else { return nil }
        return .some(code == 0 ? nil : Int(code) - 1)
    }

    /// The values of one image, one kind of prompt after the other, and its route. The image is encoded once.
    func values(_ example: EvaluationExample, in workspace: Workspace) throws -> [Double] {
        guard example.count > 0 else { return Self.noValues(kinds: kinds.count, vanished: example.vanished) }
        let encoded = try subject.encode(example.input, in: workspace)
        let route = encoded.decision.map { Double(($0.domain ?? -1) + 1) } ?? -1
        return try example.prompts.flatMap { prompts -> [Double] in
            var sums = Sums(instances: prompts.count)
            for start in stride(from: 0, to: prompts.count, by: decoderChunk) {
                let chunk = start..<min(start + decoderChunk, prompts.count)
                let logits = try encoded.model.logits(
                    encoded.features, PromptBatch(prompts, chunk), in: encoded.context)
                try add(logits, chunk, prompts.kind, example, to: &sums, in: workspace)
            }
            return sums.values
        } + [Double(example.vanished), route]
    }

    /// Adds the scores of some instances of a squashed image, at its own size. // logits [chunk, 4 h, 4 w]
    private func addAtOriginalSize(
        _ logits: Tensor, _ chunk: Range<Int>, _ example: EvaluationExample, to sums: inout Sums,
        in workspace: Workspace
    ) {
        guard let masks = example.originalMasks else { return }
        for (place, instance) in chunk.enumerated() {
            let score = OriginalMaskScore(
                logits: logits.rows(place..<place + 1).reshaped([logits.shape[1], logits.shape[2]]),
                truth: masks.bitmap(of: instance).map { $0 != 0 }, width: example.image.width,
                height: example.image.height, in: workspace)
            sums.add(.iou, [score.iou])
            if measuresBoundaries { sums.add(.boundaryIoU, [score.boundaryIoU]) }
        }
    }

    /// Adds the scores of some instances of an image. // logits [chunk, 4 h, 4 w]
    private func add(
        _ logits: Tensor, _ chunk: Range<Int>, _ kind: PromptKind, _ example: EvaluationExample,
        to sums: inout Sums, in workspace: Workspace
    ) throws {
        if example.isSquashed {
            return addAtOriginalSize(logits, chunk, example, to: &sums, in: workspace)
        }
        if let masks = example.masks {
            let scores = MaskMetrics(
                logits: logits, truth: masks.selecting(Array(chunk)).bitmaps, canvas: example.frame.side,
                threshold: threshold, in: workspace)
            sums.add(.iou, scores.iou)
            sums.add(.f1, scores.f1)
            guard measuresBoundaries else { return }
        }
        let side = logits.shape[1]
        let (width, height) = (example.image.width, example.image.height)
        for (place, instance) in chunk.enumerated() {
            let plane = logits.rows(place..<place + 1).reshaped([1, 1, side, side])
            let pixels = MaskPostprocessing.resize(plane, to: example.frame.maskFrame, in: workspace).elements.map {
                threshold == 0 ? $0 > 0 : $0 >= threshold
            }
            if let masks = example.originalMasks {
                let truth = masks.bitmap(of: instance).map { $0 != 0 }
                sums.add(.boundaryIoU, [BoundaryIoU.value(pixels, truth, width: width, height: height)])
            } else {
                let prediction = WeakLabelMetrics(prediction: pixels, width: width, height: height)
                if let box = example.boxes?[instance] { sums.add(.boxIoU, [prediction.boxIoU(with: box)]) }
                guard let points = example.points?[instance] else { continue }
                // The points of the prompt itself are no score.
                let scored = kind == .point ? example.heldOutPoints?[instance] ?? [] : points
                sums.add(.pointHits, prediction.hits(scored, of: points.filter(\.isForeground)))
            }
        }
    }
}
