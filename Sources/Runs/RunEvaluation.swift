import AdaptationMethods
import Adapters
import CheckpointStore
import Collectives
import Datasets
import Evaluation
import FaultInjection
import Foundation
import Kernels
import Routing
import Telemetry
import Training

/// The evaluations of a run: scores, their files and records, and unreadable images.
struct RunEvaluation {
    /// The scores of the unadapted model, at the ends of earlier stages, and of the last evaluation.
    struct Scores {
        var before: [EvaluationRecord] = []
        /// At the ends of stages, in their order.
        private(set) var stageEnds: [EvaluationRecord] = []
        private(set) var last: [EvaluationRecord] = []

        /// Scores restored from a checkpoint.
        ///
        /// - Parameter ends: The steps after which stages end.
        init(_ records: [EvaluationRecord], stageEnds ends: [Int]) {
            before = records.filter { $0.step == 0 }
            stageEnds = records.filter { ends.contains($0.step) }
            let step = records.map(\.step).max() ?? 0
            last = step > 0 ? records.filter { $0.step == step } : []
        }

        /// Notes an evaluation.
        mutating func add(_ records: [EvaluationRecord], endsStage: Bool) {
            last = records
            if endsStage { stageEnds += records }
        }

        /// The scores of a run without training are those it began with.
        mutating func endUnchanged() { last = before }

        var forCheckpoint: [CheckpointScore] {
            let step = last.first?.step
            let earlier = stageEnds.filter { $0.step != step }
            return (before + earlier + last).map { CheckpointScore($0) }
        }
    }

    /// The weights after a step, as a subject of evaluation.
    struct Occasion {
        var step: Int
        /// The step's stage, which selects the domains to score; nil scores all.
        var stage: Stage?
        /// The mean training loss of the last interval.
        var loss: Double?
    }

    let context: RunContext
    let evaluators: [SourceEvaluator]
    private let told = ToldSources()

    /// The sources of which the log already says what is not scored.
    private final class ToldSources { var sources: Set<String> = [] }

    init(context: RunContext, evaluators: [SourceEvaluator]) { (self.context, self.evaluators) = (context, evaluators) }

    /// True if there is nothing to evaluate.
    var isEmpty: Bool { evaluators.isEmpty }

    /// Scores a model on the images of all sources. Collective.
    ///
    /// - Parameter trainer: Counts unreadable images.
    ///
    /// Throws `RunError` of kind `badData` on all ranks if there are more of them than the recipe allows.
    func run(_ model: EvaluatedModel, _ occasion: Occasion, _ trainer: Trainer) throws -> [EvaluationRecord] {
        try FaultInjector.$step.withValue(occasion.step) { try FaultInjector.check(.evaluation) }
        let asked = evaluators.filter { occasion.stage?.evaluated.contains($0.domain) ?? true }
        return try asked.flatMap { try run($0, model, occasion, trainer) }
    }

    private func run(
        _ source: SourceEvaluator, _ model: EvaluatedModel, _ occasion: Occasion, _ trainer: Trainer
    ) throws -> [EvaluationRecord] {
        let begin = ContinuousClock.now
        let result = try source.evaluator.evaluate(
            model, communicator: context.assembly.communicator, in: context.assembly.workspace)
        let (outcomes, unreadable) = (result.outcomes, result.unreadable)
        let leftOut = trainer.leftOut
        let doing = "evaluation after step \(occasion.step): "
        guard try trainer.leaveOut(unreadable) else {
            throw context.assembly.tooManyBad(unreadable, leftOut, context.data, while: doing)
        }
        let isRoot = context.assembly.communicator.isRoot
        for image in unreadable where isRoot && !leftOut.contains(image.image) {
            context.log.warning("\(doing)image \(image.id) skipped: \(image.line)")
        }
        if isRoot, let line = result.vanishedLine, told.sources.insert(source.source).inserted {
            context.log.warning("evaluation of \(source.source): \(line)")
        }
        if case .pool(let pool) = model {
            context.log.fact(
                RoutingFact(result.routes, pool.router.domains, source, step: occasion.step))
        }
        let seconds = (ContinuousClock.now - begin) / .seconds(1)
        let recipe = context.assembly.recipe
        return try outcomes.map { outcome in
            var record = EvaluationRecord(
                run: recipe.run.name, prompt: outcome.prompt.rawValue, scores: outcome.scores, step: occasion.step,
                images: outcome.images.count, instances: outcome.instances, threshold: recipe.evaluation.threshold,
                seconds: seconds)
            (record.source, record.domain) = (source.source, source.domain)
            (record.stage, record.loss) = (occasion.stage?.name, occasion.loss)
            if isRoot {
                do throws(RunError) {
                    try context.folder.write(outcome, step: occasion.step, source: isOfOneSource ? nil : source.source)
                } catch {
                    if let loss = context.folder.lock?.loss { throw loss }
                    context.log.warning("per-image scores after step \(occasion.step) not written: \(error)")
                }
            }
            context.log.record(.evaluation(record))
            return record
        }
    }

    private var isOfOneSource: Bool { context.assembly.recipe.data.sources.isEmpty }

    /// The scores stored in a checkpoint, in the log's form, without the loss of their interval.
    func records(_ scores: [CheckpointScore]) -> [EvaluationRecord] {
        scores.map { kept in
            var scores = EvaluationScores()
            for measure in kept.measures {
                guard let kind = EvaluationScores.Measure(rawValue: measure.name) else { continue }
                scores[kind] = Double(measure.value)
            }
            var record = EvaluationRecord(
                run: context.assembly.recipe.run.name, prompt: kept.prompt, scores: scores, step: kept.step,
                images: kept.images, instances: kept.instances, threshold: context.assembly.recipe.evaluation.threshold,
                seconds: Double(kept.seconds) ?? .nan)
            record.source = kept.source ?? record.source
            record.domain = kept.domain ?? record.domain
            record.stage = kept.stage
            return record
        }
    }
}

extension CheckpointScore {
    /// Converts an evaluation record to its form in a checkpoint.
    fileprivate init(_ record: EvaluationRecord) {
        self.init(
            step: record.step, prompt: record.prompt, images: record.images, instances: record.instances,
            measures: record.scores.measured.map { ($0.measure.rawValue, $0.value) }, seconds: record.seconds)
        (source, domain, stage) = (record.source, record.domain, record.stage)
    }
}

extension RoutingFact {
    /// Counts the routes of a source's images: positions of domains, nil for the model without an adapter.
    init(_ routes: [Int?], _ domains: [String], _ source: SourceEvaluator, step: Int) {
        self.init(
            source: source.source, domain: source.domain, step: step, domains: domains,
            sent: domains.indices.map { domain in routes.count { $0 == domain } }, plain: routes.count { $0 == nil })
    }
}
