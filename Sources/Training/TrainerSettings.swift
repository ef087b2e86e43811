package import AdaptationMethods
package import Datasets
package import Layers

/// The settings of a trainer, derived from a recipe.
package struct TrainerSettings: Sendable {
    /// How passes are computed.
    package var passes = PassSettings()
    /// The optimiser and its schedule.
    package var optimizer = OptimizerSettings()
    /// What a stage begins with.
    package var stageStart = StageStart.everything
    /// What holds a later stage near the one before, and its weight.
    package var protection: (kind: StageProtection, weight: Double)?
    /// When rank 0's controller acts.
    package var plan: TrainingController.Plan
    /// Samples each rank prepares in advance, and the number of threads that do so.
    package var prefetch = (depth: 4, threads: 1)

    package init(plan: TrainingController.Plan) { self.plan = plan }
}

/// The data a trainer learns from.
package struct TrainerData: Sendable {
    /// Converts an image to an example.
    package var preparation: ExamplePreparation
    /// The sample order of the run.
    package var schedule: SamplingSchedule
    /// The images' names in the run.
    package var images: [ImageID]
    /// Images skipped from the start.
    package var leftOut: [ImageID] = []
    /// The node of every rank for assigning images; if all are equal, images are assigned by position.
    package var nodeOfRank: [Int]
    /// The node's stored embeddings, if any.
    package var anchors: AnchorStore?

    package init(
        _ preparation: ExamplePreparation, schedule: SamplingSchedule, images: [ImageID], nodeOfRank: [Int]
    ) {
        (self.preparation, self.schedule) = (preparation, schedule)
        (self.images, self.nodeOfRank) = (images, nodeOfRank)
    }
}

/// How the passes of any method are computed: affects memory and speed only.
package struct PassSettings: Sendable, Equatable {
    /// Prompts per decoder pass.
    package var decoderChunk = StepContext.defaultDecoderChunk
    /// What the encoder recomputes in the backward pass.
    package var recompute = RecomputeLevel.none

    package init() {}

    package init(decoderChunk: Int, recompute: RecomputeLevel) {
        (self.decoderChunk, self.recompute) = (decoderChunk, recompute)
    }
}
