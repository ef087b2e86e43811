import CheckpointStore
import Telemetry

extension CheckpointScore {
    /// A result of an evaluation as a checkpoint keeps it.
    init(_ record: EvaluationRecord) {
        self.init(
            step: record.step, prompt: record.prompt, images: record.images, instances: record.instances,
            measures: record.scores.measured.map { ($0.measure.rawValue, $0.value) }, seconds: record.seconds)
    }
}

extension AdaptationRun {
    /// A kept result as the log has it, without the loss of its interval.
    func evaluationRecord(_ score: CheckpointScore) -> EvaluationRecord {
        var scores = EvaluationScores()
        for measure in score.measures {
            guard let kind = EvaluationScores.Measure(rawValue: measure.name) else { continue }
            scores[kind] = Double(measure.value)
        }
        return EvaluationRecord(
            name: recipe.recipe.run.name, prompt: score.prompt, scores: scores, step: score.step, images: score.images,
            instances: score.instances,
            threshold: recipe.recipe.evaluation.threshold, seconds: Double(score.seconds) ?? .nan)
    }
}
