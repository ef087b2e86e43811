public import Layers

/// An adapter that grows with the stages of a run: what belongs to stages that have not begun takes no part.
public protocol StagedAdapter: AdapterSet {
    /// Stages that have begun; at least one.
    var begun: Int { get }

    /// The adapter once a stage, from 0, has begun.
    func inStage(_ stage: Int) -> any AdapterSet
}

extension AdaptedModel {
    /// The model once a stage of its training, from 0, has begun.
    public func inStage(_ stage: Int) -> AdaptedModel {
        var model = self
        model.adapters = ActiveAdapters(adapters.sets.map { ($0 as? any StagedAdapter)?.inStage(stage) ?? $0 })
        return model
    }

    /// Stages that its adapters have seen begin; 1 where none is concerned with stages.
    var begunStages: Int { adapters.sets.lazy.compactMap { ($0 as? any StagedAdapter)?.begun }.max() ?? 1 }
}
