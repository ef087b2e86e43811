import AdaptationMethods
import Datasets
import ModelLoading
import Telemetry

/// What the parts of a run share once it is assembled, the same from its first step to its last.
struct RunContext {
    let assembly: RunAssembly
    let loaded: LoadedModel
    let data: TrainingData
    /// The stages, in order.
    let stages: [Stage]
    let folder: RunFolder
    let log: RunLog
    /// True once somebody asked for the run to end.
    let isStopRequested: @Sendable () -> Bool
}
