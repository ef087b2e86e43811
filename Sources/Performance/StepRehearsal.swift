public import AdaptationMethods
import Kernels
import Layers
import LowRankAdaptation
public import SegmentAnything
import Tensors

/// The tensors of a step, counted by going through one without computing.
///
/// The very code of the step runs, with kernels that leave out their tasks, so the count cannot drift from the code.
/// Fresh pages of the system take no memory before they are written, and most never are.
public struct StepRehearsal: Sendable, Equatable {
    /// Bytes of the frozen weights as the layers hold them, copies in another layout included.
    public let weights: Int
    /// Bytes one encoder pass keeps for its backward.
    public let encoderResiduals: Int
    /// The largest number of bytes in tensors during a step, the weights not counted, blocks kept for reuse included.
    public let step: Int
    /// Bytes of the adapter's matrices.
    public let adapterBytes: Int

    /// Rehearses one step on one image, with tensors from a pool of its own. Throws what the step throws.
    ///
    /// - Parameters:
    ///   - instances: Box prompts in the image.
    ///   - points: Points per prompt instead of a box, or nil.
    public init(
        _ configuration: SegmentAnythingConfiguration, settings: WeSAMConfiguration, loraRank: Int, instances: Int,
        points: Int? = nil
    ) throws {
        let pool = StoragePool()
        defer { pool.trim() }
        let prompts = try Self.prompts(instances, points: points)
        self = try StoragePool.$rehearsal.withValue(pool) {
            try Self(configuration, settings, loraRank, prompts, countedBy: pool)
        }
    }

    private init(
        _ configuration: SegmentAnythingConfiguration, _ settings: WeSAMConfiguration, _ loraRank: Int,
        _ prompts: PromptBatch, countedBy pool: StoragePool
    ) throws {
        let model = SegmentAnythingModel(configuration, UntouchedParameters())
        pool.trim()
        weights = pool.figures.live
        let workspace = Workspace(rehearsing: 1)
        let layout = LoRALayout(sites: model.encoder.adapterSites, rank: loraRank)
        adapterBytes = layout.count * MemoryLayout<Float>.stride
        let adapter = LoRAAdapter(layout: layout, parameters: Tensor(zeros: [layout.count]))
        let side = model.encoder.imageSize
        let example = AdaptationExample(
            weak: Tensor(uninitialized: [side, side, 3]), strong: Tensor(uninitialized: [side, side, 3]),
            prompts: prompts)
        encoderResiduals = Self.residuals(of: model.encoder, adapter, example.weak, settings, pool, workspace)
        pool.trim()
        pool.resetPeaks()
        var gradients = GradientBuffer(count: layout.count)
        _ = try WeSAM(settings).step(
            example, model: model, adapter: adapter, gradients: &gradients, in: workspace)
        step = pool.figures.peak - weights
    }

    private static func residuals(
        of encoder: any ImageEncoder, _ adapter: LoRAAdapter, _ image: Tensor, _ settings: WeSAMConfiguration,
        _ pool: StoragePool, _ workspace: Workspace
    ) -> Int {
        let before = pool.figures.live
        let pass = encoder.encodeForTraining(
            image, adapter: adapter, recompute: settings.recompute, in: workspace)
        return withExtendedLifetime(pass) { pool.figures.live - before }
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
