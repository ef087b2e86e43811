public import AdaptationMethods
public import Adapters
public import Kernels
public import Layers
public import Planning
public import SegmentAnything
import Tensors
import WeightFiles

/// A step that another program can reproduce: its inputs from a safetensors file, its losses and gradients to another.
///
/// Tensors of the input file: `weak`, `strong` [S, S, 3], `boxes` [n, 4] in the model frame, and all trainable
/// parameters by their names in adapter files.
public struct StepCase {
    /// The image and prompts.
    public let example: AdaptationExample
    /// The model with the parameters of the file.
    public let adapted: AdaptedModel
    /// The settings of the adapters in the file.
    public let options: AdapterOptions

    /// Reads a case of a method for a model. Throws `WeightFileError`, `AdapterError` and `SegmentAnythingError`.
    public init(
        opening path: String, configuration: SegmentAnythingConfiguration, weights: any ParameterSource,
        method: any AdaptationMethod
    ) throws {
        let table = try SafetensorsFile.read(path)
        let description = ModelDescription(configuration)
        options = try AdapterOptions(of: table, in: description)
        let trainables = try Trainables(method.trainables, in: description, options)
        let contract = WeightContract(
            Dictionary(uniqueKeysWithValues: trainables.layout.entries.map { ($0.name, $0.shape) }),
            ignorableNames: ["weak", "strong", "boxes"])
        let tensors = try contract.tensors(of: table)
        let values = Tensor(
            trainables.layout.entries.flatMap { tensors[$0.name]?.elements ?? [] }, [trainables.layout.count])
        let view: Shape = [configuration.imageSize, configuration.imageSize, 3]
        for name in ["weak", "strong"] where table[name].map({ Shape($0.shape) != view }) ?? false {
            throw WeightFileError(
                .valueType, path: path, found: "\(name) with a different shape than \(view)",
                remedy: "create the case for this model")
        }
        let source = TrainableSource(weights, layout: trainables.layout)
        adapted = AdaptedModel(SegmentAnythingModel(configuration, source), trainables, values: values)
        example = AdaptationExample(
            weak: try table.tensor("weak"), strong: try table.tensor("strong"),
            prompts: try PromptBatch(boxes: try table.tensor("boxes")))
    }

    /// Runs the step once and writes `loss.NAME` and `gradient.NAME`. Throws the errors of the step and the writer.
    public func write(to path: String, _ request: StepRequest, in workspace: Workspace) throws {
        var context = StepContext(
            adapted, decoderChunk: request.decoderChunk, recompute: request.recompute, in: workspace)
        let losses = try request.method.step(example, in: &context)
        let values = losses.parts.map { TensorToWrite("loss.\($0.name)", Tensor([Float($0.value)], [1])) }
        let gradients = adapted.layout.entries.map { entry in
            TensorToWrite(
                "gradient.\(entry.name)", context.gradients.values.rows(entry.range).reshaped(entry.shape))
        }
        try SafetensorsFile.write(values + gradients, to: path)
    }
}
