import AdaptationMethods
package import Datasets
package import Layers

/// How a trainer works: what of a recipe it needs.
package struct TrainerSettings: Sendable {
    /// How passes are made.
    package var passes = PassSettings()
    /// The optimiser and its schedule.
    package var optimizer = OptimizerSettings()
    /// What rank 0's controller does when.
    package var plan: TrainingController.Plan
    /// Samples each rank prepares ahead, and by how many threads.
    package var prefetch = (depth: 4, threads: 1)

    package init(plan: TrainingController.Plan) { self.plan = plan }
}

/// What a trainer learns from.
package struct TrainerData: Sendable {
    /// The way from an image to an example.
    package var preparation: ExamplePreparation
    /// The order of the run.
    package var schedule: SamplingSchedule
    /// What the run calls the images.
    package var images: [ImageID]
    /// Images that are left out from the beginning.
    package var leftOut: [ImageID] = []
    /// The node of every rank for dealing images; all the same deals by place.
    package var nodeOfRank: [Int]
    /// Embeddings the node keeps, if it does.
    package var anchors: AnchorStore?

    package init(
        _ preparation: ExamplePreparation, schedule: SamplingSchedule, images: [ImageID], nodeOfRank: [Int]
    ) {
        (self.preparation, self.schedule) = (preparation, schedule)
        (self.images, self.nodeOfRank) = (images, nodeOfRank)
    }
}

/// How the passes of any method are made: a matter of memory and speed.
package struct PassSettings: Sendable, Equatable {
    /// Prompts that the decoder takes at once.
    package var decoderChunk = StepContext.defaultDecoderChunk
    /// What the encoder computes again in backward.
    package var recompute = RecomputeLevel.none

    package init() {}

    package init(decoderChunk: Int, recompute: RecomputeLevel) {
        (self.decoderChunk, self.recompute) = (decoderChunk, recompute)
    }
}
