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
/// Tensors of the input file: `weak`, `strong` [S, S, 3], `boxes` [n, 4] in the model frame, for a method that learns from
/// masks `masks` [n, S, S] of 0 and 1 and optionally `task` [1], and all trainable parameters by their names in adapter
/// files. A method of clicks also writes those that it drew: `prompts.boxes` [n, 4] if it began with boxes, and
/// `prompts.clicks` [c, n, 3], x, y and label of each object, round by round.
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
            ignorableNames: ["weak", "strong", "boxes", "masks", "task"])
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
        let masks = try table["masks"].map { _ in try table.bytes("masks") }
        let boxes = try table.tensor("boxes")
        guard masks.map({ $0.count == boxes.shape[0] * view[0] * view[1] && $0.allSatisfy { $0 < 2 } }) ?? true else {
            throw WeightFileError(
                .valueType, path: path,
                found: "masks that are not \(boxes.shape[0]) planes of \(view[0])x\(view[1]) zeros and ones",
                remedy: "create the case for this model")
        }
        var example = AdaptationExample(
            weak: try table.tensor("weak"), strong: try table.tensor("strong"), prompts: try PromptBatch(boxes: boxes),
            masks: masks)
        if table["task"] != nil {
            let values = try table.tensor("task").elements
            guard values.count == 1, let task = Int(exactly: values[0]), (0...TaskTable.tasks).contains(task) else {
                throw WeightFileError(
                    .valueType, path: path, found: "task of \(values), which is no single id",
                    remedy: "give one number from 0 to \(TaskTable.tasks)")
            }
            example.task = task
        }
        self.example = example
    }

    /// Runs the step once and writes `loss.NAME` and `gradient.NAME`. Throws the errors of the step and the writer.
    public func write(to path: String, _ request: StepRequest, in workspace: Workspace) throws {
        var context = StepContext(
            adapted, decoderChunk: request.decoderChunk, recompute: request.recompute, in: workspace)
        context.promptLog = PromptLog()
        let losses = try request.method.step(example, in: &context)
        let values = losses.parts.map { TensorToWrite("loss.\($0.name)", Tensor([Float($0.value)], [1])) }
        let gradients = adapted.layout.entries.map { entry in
            TensorToWrite(
                "gradient.\(entry.name)", context.gradients.values.rows(entry.range).reshaped(entry.shape))
        }
        let last = context.promptLog?.rounds.last
        if let drawn = last?.count, drawn < example.prompts.count {
            throw WeightFileError(
                .valueType, path: path,
                found: "prompts of \(drawn) of \(example.prompts.count) objects in the last chunk",
                remedy: "raise --decoder-chunk to the number of objects, so that all prompts are written")
        }
        try SafetensorsFile.write(values + gradients + (last?.tensors ?? []), to: path)
    }
}

extension PromptBatch {
    /// The prompts of the last round, which has all that were drawn.
    fileprivate var tensors: [TensorToWrite] {
        let boxes = boxes.map { [TensorToWrite("prompts.boxes", $0)] } ?? []
        guard let points else { return boxes }
        let (n, clicks) = (count, labels.count / count)
        var values: [Float] = []
        for click in 0..<clicks {
            for object in 0..<n {
                let place = object * clicks + click
                values += [points[2 * place], points[2 * place + 1], Float(labels[place].rawValue)]
            }
        }
        return boxes + [TensorToWrite("prompts.clicks", Tensor(values, [clicks, n, 3]))]
    }
}
