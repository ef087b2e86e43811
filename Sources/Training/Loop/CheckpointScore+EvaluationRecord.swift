import CheckpointStore
import Telemetry

extension CheckpointScore {
    /// A result of an evaluation as a checkpoint keeps it.
    init(_ record: EvaluationRecord) {
        self.init(
            step: record.step, prompt: record.prompt, images: record.images, instances: record.instances,
            meanIoU: record.meanIoU, meanF1: record.meanF1, seconds: record.seconds)
    }
}

extension AdaptationRun {
    /// A kept result as the log has it, without the loss of its interval.
    func evaluationRecord(_ score: CheckpointScore) -> EvaluationRecord {
        EvaluationRecord(
            name: recipe.recipe.run.name, prompt: score.prompt, meanIoU: Double(score.meanIoU) ?? .nan,
            meanF1: Double(score.meanF1) ?? .nan, step: score.step, images: score.images, instances: score.instances,
            threshold: recipe.recipe.evaluation.threshold, seconds: Double(score.seconds) ?? .nan)
    }
}
