public import AdaptationMethods
public import Collectives
public import Datasets
public import Kernels
import SegmentAnything
public import Telemetry
import Tensors

/// Scores a model on the evaluation images, sharded over the ranks.
///
/// Each rank scores a range of consecutive images; per-image scores are gathered and averaged in image order, so the
/// results do not depend on the number of ranks. An image is encoded once for all kinds of prompt.
public struct Evaluator {
    /// The score of one image with one kind of prompt.
    public struct ImageScore: Sendable, Equatable {
        /// The image's name.
        public var id: String
        /// Instances scored.
        public var instances: Int
        /// Means over the image's instances.
        public var scores: EvaluationScores
    }

    /// The scores of all images with one kind of prompt.
    public struct Outcome: Sendable, Equatable {
        /// The kind of prompt.
        public var prompt: PromptKind
        /// One score per image with an instance, in data set order.
        public var images: [ImageScore]

        /// Means over images of per-image means (the released WeSAM's metric), each over the images that have it.
        public var scores: EvaluationScores { .mean(of: images.map(\.scores)) }
        /// Instances in all images.
        public var instances: Int { images.reduce(0) { $0 + $1.instances } }
    }

    /// How images are preprocessed.
    public let preparation: ExamplePreparation
    /// The kinds of prompt to score with.
    public let kinds: [PromptKind]
    /// The names of the evaluation images, in order.
    public let ids: [String]
    /// The images' names in the run.
    public let images: [ImageID]
    /// A pixel is mask if its logit is above 0 or, for any other threshold, at least the threshold.
    public let threshold: Double
    /// Prompts per decoder pass.
    public let decoderChunk: Int
    /// True if the boundary IoU is measured too.
    public let measuresBoundaries: Bool
    /// Which masks are scored.
    public var answers = EvaluatedAnswers.promptedMasks
    /// Images prepared in advance, and the number of threads that do so.
    public let prefetch: (depth: Int, threads: Int)

    /// Creates an evaluator.
    public init(
        _ settings: EvaluationSettings, preparation: ExamplePreparation, ids: [String], images: [ImageID],
        decoderChunk: Int, prefetch: (depth: Int, threads: Int)
    ) {
        precondition(ids.count == images.count, "\(ids.count) names for \(images.count) images")
        (kinds, threshold, measuresBoundaries) = (settings.kinds ?? [], settings.threshold, settings.boundary)
        (self.preparation, self.ids, self.images) = (preparation, ids, images)
        (self.decoderChunk, self.prefetch) = (decoderChunk, prefetch)
    }

    /// The result of an evaluation.
    public struct Result {
        /// The scores, one for each kind of prompt.
        public let outcomes: [Outcome]
        /// The images that cannot be read.
        public let unreadable: [UnreadableSample]
        /// The images with instances that were not scored, because no pixel of them is left in the model frame, and how many.
        public let vanished: [(id: String, instances: Int)]
        /// Where a router sent the images with an instance, in order; empty without a router.
        public let routes: [Int?]
    }

    /// Scores all readable images and reports the others; the result is the same on every rank.
    ///
    /// Throws `CollectivesError`, and `DatasetError` for a fault that does not concern a single image.
    public func evaluate(
        _ subject: EvaluatedModel, communicator: any Communicator, in workspace: Workspace
    ) throws -> Result {
        let gathered = try valuesOfImages(
            unscored: ImageScoring.noValues(kinds: kinds.count), communicator: communicator,
            scoring(subject, in: workspace))
        let outcomes = kinds.indices.map { kind in
            let images = ids.indices.compactMap { index -> ImageScore? in
                guard let values = gathered.values[index] else { return nil }
                let own = Array(values[(ImageScoring.width * kind)..<(ImageScoring.width * (kind + 1))])
                return ImageScoring.score(own, id: ids[index])
            }
            return Outcome(prompt: kinds[kind], images: images)
        }
        let routes = ids.indices.compactMap { gathered.values[$0].flatMap(ImageScoring.route) }
        let vanished = ids.indices.compactMap { index -> (id: String, instances: Int)? in
            guard let count = gathered.values[index].map(ImageScoring.vanished), count > 0 else { return nil }
            return (ids[index], count)
        }
        return Result(outcomes: outcomes, unreadable: gathered.unreadable, vanished: vanished, routes: routes)
    }
}

extension Evaluator {
    /// What scores an image.
    private func scoring(
        _ subject: EvaluatedModel, in workspace: Workspace
    ) -> (EvaluationExample) throws -> [Double] {
        if case .refinedMasks(let pairs) = answers {
            let scoring = RefinementScoring(
                subject: subject, pairs: pairs, kinds: kinds, decoderChunk: decoderChunk, seed: preparation.seed)
            return { try scoring.values($0, in: workspace) }
        }
        let scoring = ImageScoring(
            subject: subject, kinds: kinds, threshold: Float(threshold), decoderChunk: decoderChunk,
            measuresBoundaries: measuresBoundaries)
        return { try scoring.values($0, in: workspace) }
    }

    /// The values of every image, in order and equal on all ranks, and the images that cannot be read. Collective.
    ///
    /// - Parameters:
    ///   - unscored: The values of an image that cannot be read.
    ///   - score: The values of an image, as many.
    ///
    /// Throws `CollectivesError`, `DatasetError` for a fault that does not concern a single image, and what `score` throws.
    func valuesOfImages(
        unscored: [Double], communicator: any Communicator, _ score: (EvaluationExample) throws -> [Double]
    ) throws -> (values: [[Double]?], unreadable: [UnreadableSample]) {
        communicator.phase = "evaluation"
        let share = ShardedSampler.share(
            rank: communicator.rank, worldSize: communicator.worldSize, batchSize: ids.count)
        let (preparation, kinds) = (preparation, kinds)
        let prefetcher = try SamplePrefetcher(share.makeIterator(), depth: prefetch.depth, threads: prefetch.threads) {
            index -> Swift.Result<EvaluationExample, DatasetError> in
            do {
                return .success(try preparation.evaluationExample(index, kinds: kinds))
            } catch let error as DatasetError where error.concernsOneImage {
                return .failure(error)
            }
        }
        var (records, found): ([SampleRecord], [UnreadableSample]) = ([], [])
        for index in share {
            guard let read = try prefetcher.next() else { break }
            communicator.activity.work(at: "evaluating")
            var (values, isUnreadable) = (unscored, false)
            switch read {
            case .success(let example): values = try score(example)
            case .failure(let error):
                isUnreadable = true
                found.append(
                    UnreadableSample(
                        images[index], id: ids[index], error, rank: communicator.rank, host: communicator.hostName))
            }
            records.append(
                SampleRecord(position: index, values: values, hasGradient: false, isUnreadable: isUnreadable))
        }
        let gathered = try SampleOrderedSum(
            parameterCount: 1, globalBatch: max(ids.count, 1), communicator: communicator
        ).gatherRecords(records)
        let unreadable =
            gathered.unreadablePositions.isEmpty ? [] : try UnreadableSample.gather(found, communicator)
        return (ids.indices.map { gathered.values[$0] }, unreadable)
    }
}

extension Evaluator.Result {
    /// Names listed before the rest is only counted.
    private static let listed = 5

    /// What was not scored, in words, as in `2 labelled objects of 1 image leave no pixel in the model's square and are not
    /// scored: a`; nil if nothing was left out.
    public var vanishedLine: String? {
        guard !vanished.isEmpty else { return nil }
        let objects = vanished.reduce(0) { $0 + $1.instances }
        let more = vanished.count - Self.listed
        return "\(objects) labelled object\(objects == 1 ? "" : "s") of \(vanished.count) image"
            + "\(vanished.count == 1 ? "" : "s") leave no pixel in the model's square and are not scored: "
            + vanished.prefix(Self.listed).map(\.id).joined(separator: ", ") + (more > 0 ? " and \(more) more" : "")
    }
}
