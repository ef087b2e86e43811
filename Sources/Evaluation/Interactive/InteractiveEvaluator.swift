public import Collectives
import Datasets
import Interaction
public import Kernels
import SegmentAnything
import Telemetry
import Tensors

/// The settings of an interactive evaluation.
public struct InteractiveProtocol: Sendable, Equatable {
    /// How objects are first pointed at.
    public var start = InteractiveStart.point
    /// Rounds.
    public var rounds = 6
    /// The task of round 1, as in `PromptBatch`.
    public var task = 0

    /// The published rounds, from a point.
    public init() {}
}

/// The scores of rounds of clicks on the images of one source, sharded over the ranks.
public struct InteractiveOutcome: Sendable, Equatable {
    /// Means over some objects after one round.
    public struct Round: Sendable, Equatable {
        /// IoU of the mask with the highest predicted IoU.
        public var iou = 0.0
        /// Its boundary IoU.
        public var boundaryIoU = 0.0
        /// IoU of the best mask.
        public var bestIoU = 0.0
        /// Its boundary IoU.
        public var bestBoundaryIoU = 0.0

        /// The four, in this order.
        public var values: [Double] { [iou, boundaryIoU, bestIoU, bestBoundaryIoU] }

        init(_ values: some Collection<Double>) {
            let values = Array(values)
            (iou, boundaryIoU, bestIoU, bestBoundaryIoU) = (values[0], values[1], values[2], values[3])
        }
    }

    /// One image.
    public struct Image: Sendable, Equatable {
        /// Its name.
        public let id: String
        /// Its objects.
        public let objects: Int
        /// Means over its objects after each round.
        public let rounds: [Round]
    }

    /// The images with an object, in data set order.
    public let images: [Image]
    /// Objects in all images.
    public var objects: Int { images.reduce(0) { $0 + $1.objects } }

    /// Means over all objects after each round.
    public var rounds: [Round] {
        guard let first = images.first else { return [] }
        return first.rounds.indices.map { round in
            Round(
                (0..<4).map { place in
                    images.reduce(0) { $0 + Double($1.objects) * $1.rounds[round].values[place] } / Double(objects)
                })
        }
    }
}

extension Evaluator {
    /// Runs rounds of clicks on all readable images that have masks; the result is the same on every rank.
    ///
    /// Objects that have no pixel at the original size are left out. Throws `CollectivesError`, `DatasetError` for a fault
    /// that does not concern a single image and for an image without masks, and `SegmentAnythingError`.
    public func evaluate(
        _ subject: EvaluatedModel, interactively rules: InteractiveProtocol, communicator: any Communicator,
        in workspace: Workspace
    ) throws -> (outcome: InteractiveOutcome, unreadable: [UnreadableSample]) {
        let gathered = try valuesOfImages(
            unscored: [Double](repeating: 0, count: 1 + 4 * rules.rounds), communicator: communicator
        ) { try sums($0, subject, rules, in: workspace) }
        let scored = ids.indices.compactMap { index -> InteractiveOutcome.Image? in
            guard let values = gathered.values[index], values[0] > 0 else { return nil }
            return .init(
                id: ids[index], objects: Int(values[0]),
                rounds: (0..<rules.rounds).map { round in
                    .init(values[1 + 4 * round..<5 + 4 * round].map { $0 / values[0] })
                })
        }
        return (InteractiveOutcome(images: scored), gathered.unreadable)
    }

    /// The number of an image's objects, and the sums of their scores after each round. // [1 + 4 R]
    private func sums(
        _ example: EvaluationExample, _ subject: EvaluatedModel, _ rules: InteractiveProtocol, in workspace: Workspace
    ) throws -> [Double] {
        guard let masks = example.originalMasks else { throw DatasetError.withoutMasks(example.id) }
        var sums = [Double](repeating: 0, count: 1 + 4 * rules.rounds)
        guard example.count > 0 else { return sums }
        let encoded = try subject.encode(example.input, in: workspace)
        for object in 0..<masks.count {
            let truth = PixelMask(
                width: masks.width, height: masks.height, pixels: masks.bitmap(of: object).map { $0 != 0 })
            guard truth.pixels.contains(true) else { continue }
            let rounds = try InteractiveSession(
                encoded.model, encoded.features, in: encoded.context, frame: example.frame.maskFrame, truth: truth
            ).run(rules.start, task: rules.task, rounds: rules.rounds)
            sums[0] += 1
            for (place, round) in rounds.enumerated() {
                let scores = [
                    round.answer.iou, round.answer.boundaryIoU, round.bestIoU, round.bestBoundaryIoU,
                ]
                for (measure, score) in scores.enumerated() { sums[1 + 4 * place + measure] += score }
            }
        }
        return sums
    }
}
