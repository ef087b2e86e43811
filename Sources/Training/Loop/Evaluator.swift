import AdaptationMethods
public import Collectives
public import Datasets
public import Kernels
public import Layers
public import SegmentAnything
import Tensors

/// Scores a model on the evaluation images, sharded over the ranks.
///
/// Each rank takes a run of consecutive images; the per-image scores are gathered and averaged in the order of the
/// images, so the figures do not depend on the number of ranks. An image is encoded once for all kinds of prompt.
public struct Evaluator {
    /// The score of one image under one kind of prompt.
    public struct ImageScore: Sendable, Equatable {
        /// The image's name.
        public var id: String
        /// Instances scored.
        public var instances: Int
        /// Mean over the image's instances.
        public var meanIoU: Double
        /// Mean over the image's instances.
        public var meanF1: Double
    }

    /// All images under one kind of prompt.
    public struct Outcome: Sendable, Equatable {
        /// The kind of prompt.
        public var prompt: PromptKind
        /// One score per image that has an instance, in the order of the data set.
        public var images: [ImageScore]

        /// Mean over images of per-image means (the released WeSAM's metric).
        public var meanIoU: Double { mean(\.meanIoU) }
        /// Mean over images of per-image means.
        public var meanF1: Double { mean(\.meanF1) }
        /// Instances in all images.
        public var instances: Int { images.reduce(0) { $0 + $1.instances } }

        private func mean(_ value: KeyPath<ImageScore, Double>) -> Double {
            images.isEmpty ? .nan : images.reduce(0) { $0 + $1[keyPath: value] } / Double(images.count)
        }
    }

    /// How images are made ready.
    public let preparation: ExamplePreparation
    /// The kinds of prompt to score with.
    public let kinds: [PromptKind]
    /// The names of the evaluation images, in order.
    public let ids: [String]
    /// Their numbers in the run's data.
    public let numbers: [Int]
    /// A pixel is mask when its logit is above 0 or, for any other threshold, at least that.
    public let threshold: Double
    /// Prompts that the decoder takes at once.
    public let decoderChunk: Int
    /// Images that are prepared ahead, and by how many threads.
    public let prefetch: (depth: Int, threads: Int)

    /// Creates an evaluator.
    public init(
        preparation: ExamplePreparation, kinds: [PromptKind], ids: [String], numbers: [Int], threshold: Double,
        decoderChunk: Int, prefetch: (depth: Int, threads: Int)
    ) {
        precondition(ids.count == numbers.count, "\(ids.count) images with \(numbers.count) numbers")
        (self.preparation, self.kinds, self.ids, self.threshold) = (preparation, kinds, ids, threshold)
        self.numbers = numbers
        (self.decoderChunk, self.prefetch) = (decoderChunk, prefetch)
    }

    /// Scores all images that can be read, and names the others; the same on every rank.
    ///
    /// Throws `CollectivesError`, and `DatasetError` for what is not the fault of one image.
    public func evaluate(
        _ model: SegmentAnythingModel, adapter: (any ProjectionAdapter)?, communicator: any Communicator,
        in workspace: Workspace
    ) throws -> (outcomes: [Outcome], unreadable: [UnreadableSample]) {
        communicator.phase = "evaluation"
        let share = ShardedSampler.share(
            rank: communicator.rank, worldSize: communicator.worldSize, batchSize: ids.count)
        let (preparation, kinds) = (preparation, kinds)
        let prefetcher = SamplePrefetcher(share.makeIterator(), depth: prefetch.depth, threads: prefetch.threads) {
            index -> Result<EvaluationExample, DatasetError> in
            do {
                return .success(try preparation.evaluationExample(index, kinds: kinds))
            } catch let error as DatasetError where error.concernsOneImage {
                return .failure(error)
            }
        }
        var records: [SampleRecord] = []
        var findings = SampleFindings()
        for index in share {
            guard let read = try prefetcher.next() else { break }
            var values = [Double](repeating: 0, count: 3 * kinds.count)
            var isUnreadable = false
            switch read {
            case .success(let example): values = try score(example, model, adapter, workspace)
            case .failure(let error):
                isUnreadable = true
                findings.unreadable.append(
                    UnreadableSample(
                        number: numbers[index], id: ids[index], error, rank: communicator.rank,
                        host: communicator.hostName))
            }
            records.append(
                SampleRecord(position: index, values: values, hasGradient: false, isUnreadable: isUnreadable))
        }
        let gathered = try SampleOrderedSum(
            parameterCount: 1, globalBatch: max(ids.count, 1), communicator: communicator
        ).gatherRecords(records)
        let unreadable =
            gathered.unreadablePositions.isEmpty ? [] : try findings.gathered(communicator).unreadable
        let outcomes = kinds.indices.map { kind in
            let images = ids.indices.compactMap { index -> ImageScore? in
                guard let values = gathered.values[index], values[3 * kind] > 0 else { return nil }
                return ImageScore(
                    id: ids[index], instances: Int(values[3 * kind]), meanIoU: values[3 * kind + 1],
                    meanF1: values[3 * kind + 2])
            }
            return Outcome(prompt: kinds[kind], images: images)
        }
        return (outcomes, unreadable)
    }

    /// Instances, mean IoU and mean F1 of one image for every kind of prompt, one after the other.
    private func score(
        _ example: EvaluationExample, _ model: SegmentAnythingModel, _ adapter: (any ProjectionAdapter)?,
        _ workspace: Workspace
    ) throws -> [Double] {
        guard example.masks.count > 0 else { return kinds.flatMap { _ in [0, 0, 0] } }
        let embedding = model.encoder.encode(example.input, adapter: adapter, in: workspace)
        return try example.prompts.flatMap { prompts -> [Double] in
            let count = prompts.count
            var (iou, f1) = (0.0, 0.0)
            for start in stride(from: 0, to: count, by: decoderChunk) {
                let chunk = start..<min(start + decoderChunk, count)
                let logits = try model.logits(embedding, PromptBatch(prompts, chunk), in: workspace)
                let scores = MaskMetrics(
                    logits: logits, truth: example.masks.selecting(Array(chunk)).bitmaps, canvas: example.frame.side,
                    threshold: Float(threshold), in: workspace)
                iou += scores.iou.reduce(0, +)
                f1 += scores.f1.reduce(0, +)
            }
            return count == 0 ? [0, 0, 0] : [Double(count), iou / Double(count), f1 / Double(count)]
        }
    }
}

extension PromptBatch {
    /// Some instances' prompts, from the data set's form to the model's.
    init(_ prompts: Prompts, _ range: Range<Int>) throws {
        let labels = prompts.pointLabels?.rows(range).elements.map { PointLabel(rawValue: Int($0)) ?? .padding }
        try self.init(
            boxes: prompts.boxes?.rows(range), points: prompts.points?.rows(range), labels: labels ?? [], masks: nil)
    }
}
