public import AdaptationMethods
import Kernels
import Layers
import LowRankAdaptation
public import SegmentAnything
import Tensors

/// The tensors of a step, counted by going through one without computing.
///
/// The very code of the step runs, with kernels that leave out their tasks, so the count cannot drift from the code.
/// Fresh pages of the system are not touched before they are written: the rehearsal itself needs little memory.
public struct StepRehearsal: Sendable, Equatable {
    /// Bytes of the frozen weights as the layers hold them, copies in another layout included.
    public let weights: Int
    /// Bytes one encoder pass keeps for its backward.
    public let encoderResiduals: Int
    /// The largest number of bytes in tensors during a step, the weights not counted, blocks kept for reuse included.
    public let step: Int

    /// Rehearses one step on one image.
    ///
    /// Counts the tensors of the whole process: nothing else may use tensors meanwhile. Throws what the step throws.
    ///
    /// - Parameters:
    ///   - instances: Box prompts in the image.
    ///   - points: Points per prompt instead of a box, or nil.
    public init(
        _ configuration: SegmentAnythingConfiguration, settings: WeSAMConfiguration, loraRank: Int, instances: Int,
        points: Int? = nil
    ) throws {
        let pool = StoragePool.shared
        pool.trim()
        let start = pool.figures.live
        let model = SegmentAnythingModel(configuration, UntouchedParameters())
        pool.trim()
        weights = pool.figures.live - start
        let workspace = Workspace(rehearsing: 1)
        let adapter = LoRAAdapter(
            layout: LoRALayout(sites: model.encoder.adapterSites, rank: loraRank),
            parameters: Tensor(zeros: [LoRALayout(sites: model.encoder.adapterSites, rank: loraRank).count]))
        let side = model.encoder.imageSize
        let example = AdaptationExample(
            weak: Tensor(uninitialized: [side, side, 3]), strong: Tensor(uninitialized: [side, side, 3]),
            prompts: try Self.prompts(instances, points: points))
        let before = pool.figures.live
        var pass: EncoderPass? = model.encoder.encodeForTraining(
            example.weak, adapter: adapter, recompute: settings.recompute, in: workspace)
        encoderResiduals = pool.figures.live - before
        pass = nil
        _ = pass
        pool.trim()
        pool.resetPeaks()
        var gradients = GradientBuffer(count: adapter.layout.count)
        _ = try WeSAM(settings).step(
            example, model: model, adapter: adapter, gradients: &gradients, in: workspace)
        step = pool.figures.peak - start - weights
        pool.trim()
    }

    private static func prompts(_ instances: Int, points: Int?) throws -> PromptBatch {
        guard let points else { return try PromptBatch(boxes: Tensor(zeros: [instances, 4])) }
        return try PromptBatch(
            points: Tensor(zeros: [instances, points, 2]),
            labels: [PointLabel](repeating: .foreground, count: instances * points))
    }
}

/// Tensors of the right shapes whose pages stay untouched.
private struct UntouchedParameters: ParameterSource {
    func tensor(_ name: String, _ shape: Shape) -> Tensor { Tensor(uninitialized: shape) }
}
