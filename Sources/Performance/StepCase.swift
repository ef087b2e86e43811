public import AdaptationMethods
public import Kernels
import Layers
public import LowRankAdaptation
public import SegmentAnything
import Tensors
import WeightFiles

/// A step that another program runs too: its inputs from a safetensors file, its losses and gradients into another.
///
/// Tensors of the input file: `weak`, `strong` [S, S, 3], `boxes` [n, 4] in the model frame, and the LoRA matrices by
/// their names in adapter files.
public struct StepCase {
    /// The image and prompts.
    public let example: AdaptationExample
    /// The LoRA matrices.
    public let adapter: LoRAAdapter

    /// Reads a case for a model. Throws `WeightFileError` and `SegmentAnythingError`.
    public init(opening path: String, model: SegmentAnythingModel) throws {
        let table = try SafetensorsFile.read(path)
        let names = LoRALayout(sites: model.encoder.adapterSites, rank: 1).entries.map(\.name)
        guard let first = names.first, let rank = table[first]?.shape.first else {
            throw WeightFileError(
                .missingTensor, path: path, found: "no LoRA matrix \(names.first ?? "") in it",
                remedy: "write the case with Benchmarks/peer/compare.py")
        }
        let layout = LoRALayout(sites: model.encoder.adapterSites, rank: rank)
        let contract = WeightContract(
            Dictionary(uniqueKeysWithValues: layout.entries.map { ($0.name, $0.shape) }),
            ignorableNames: ["weak", "strong", "boxes"])
        let matrices = try contract.tensors(of: table)
        adapter = LoRAAdapter(
            layout: layout,
            parameters: Tensor(layout.entries.flatMap { matrices[$0.name]?.elements ?? [] }, [layout.count]))
        let view: Shape = [model.encoder.imageSize, model.encoder.imageSize, 3]
        for name in ["weak", "strong"] where table[name].map({ Shape($0.shape) != view }) ?? false {
            throw WeightFileError(
                .valueType, path: path, found: "\(name) of another shape than \(view)",
                remedy: "make the case for this model")
        }
        example = AdaptationExample(
            weak: try table.tensor("weak"), strong: try table.tensor("strong"),
            prompts: try PromptBatch(boxes: try table.tensor("boxes")))
    }

    /// Runs the step once and writes `loss.NAME` and `gradient.NAME`. Throws what the step and the writer throw.
    public func write(to path: String, model: SegmentAnythingModel, method: WeSAM, in workspace: Workspace) throws {
        var gradients = GradientBuffer(count: adapter.layout.count)
        let losses = try method.step(example, model: model, adapter: adapter, gradients: &gradients, in: workspace)
        let values = losses.parts.map { TensorToWrite("loss.\($0.name)", Tensor([Float($0.value)], [1])) }
        let matrices = adapter.layout.entries.map { entry in
            TensorToWrite(
                "gradient.\(entry.name)",
                gradients.values.rows(entry.offset..<entry.offset + entry.shape.count).reshaped(entry.shape))
        }
        try SafetensorsFile.write(values + matrices, to: path)
    }
}
