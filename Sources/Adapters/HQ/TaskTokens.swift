public import Layers
public import SegmentAnything
public import Tensors

/// The task prompt of SUM's variant over HQ-SAM (the released trainer of Liu et al., NeurIPS 2024): what a task adds to SAM's
/// mask tokens and to HQ-SAM's token.
///
/// All offsets begin at zero. No task adds nothing: SUM's released code freezes the mask tokens' offsets of its id 0, and the
/// offset of the HQ token that it trains for id 0 is the HQ token's own value over again.
public struct TaskTokens: AdapterSet, TaskTokenAdapter {
    /// The kind's name.
    public static let kind: String = "task-tokens"

    /// The kind's name.
    public var kind: String { Self.kind }
    /// The offsets of tasks 1 to 3: those of the mask tokens, then that of the HQ token. // [m, C], [1, C]
    public let parameters: [Parameter]

    /// Fresh offsets.
    public init(_ model: ModelDescription, _ places: inout ParameterPlaces) {
        let decoder = model.configuration.decoder
        parameters = (1...TaskTable.tasks).flatMap { task in
            [
                places.parameter(
                    "mask_decoder.task_prompt_tokens.\(task).weight",
                    Tensor(zeros: [decoder.multimaskOutputs + 1, decoder.width])),
                places.parameter("mask_decoder.hf_type_tokens.\(task).weight", Tensor(zeros: [1, decoder.width])),
            ]
        }
    }

    /// Itself.
    public var taskTokens: (any TaskTokenAdapter)? { self }

    /// The offsets of a task's mask tokens and HQ token; nil for task 0. // [m + 1, C]
    public func offsets(ofTask task: Int, in context: PassContext) -> Tensor? {
        guard let (masks, token) = pair(task) else { return nil }
        let (first, second) = (context.value(of: masks), context.value(of: token))
        return Tensor(first.elements + second.elements, [first.shape[0] + 1, first.shape[1]])
    }

    /// Adds the gradients of a task's offsets. // [m + 1, C]
    public func backward(
        _ dTokens: Tensor, ofTask task: Int, gradients: inout GradientBuffer, in context: PassContext
    ) {
        guard let (masks, token) = pair(task) else { return }
        let count = masks.shape[0]
        if let slot = context.slot(of: masks) { gradients.add(dTokens.rows(0..<count), at: slot) }
        if let slot = context.slot(of: token) { gradients.add(dTokens.rows(count..<count + 1), at: slot) }
    }

    private func pair(_ task: Int) -> (masks: Parameter, token: Parameter)? {
        guard (1...TaskTable.tasks).contains(task) else { return nil }
        return (parameters[2 * task - 2], parameters[2 * task - 1])
    }
}
