public import Layers
public import Tensors

/// SUM's task prompt (Liu et al., NeurIPS 2024, section 3.3): a vector for each kind of task, added to the dense embedding of
/// every prompt of that task, and so to the image embedding at all positions.
///
/// All vectors begin at zero. That of task 0, no task named, stays there, so that prompts without a task are plain SAM's.
/// Names are those of SUM's weight files.
public struct TaskTable: AdapterSet, DensePromptAdapter {
    /// The kind's name.
    public static let kind: String = "task-table"
    /// Tasks with a vector of their own; ids are 1 to this.
    public static let tasks = 3

    /// The kind's name.
    public var kind: String { Self.kind }
    /// The vectors of tasks 1 to 3. // [1, C] each
    public let parameters: [Parameter]

    /// The name of a task's vector in weight files.
    public static func name(of task: Int) -> String { "prompt_encoder.task_prompt_embedding.\(task).weight" }

    /// A fresh table.
    ///
    /// - Parameter width: C, that of the prompts' embeddings.
    public init(width: Int, _ places: inout ParameterPlaces) {
        parameters = (1...Self.tasks).map { places.parameter(Self.name(of: $0), Tensor(zeros: [1, width])) }
    }

    /// Itself.
    public var densePrompts: (any DensePromptAdapter)? { self }

    /// The vector of a task; nil for task 0, which adds nothing. // [C]
    public func vector(of task: Int, in context: PassContext) -> Tensor? {
        guard parameters.indices.contains(task - 1) else { return nil }
        let value = context.value(of: parameters[task - 1])
        return value.reshaped([value.count])
    }

    /// Adds the gradient of a task's vector. // [C]
    public func backward(
        _ dVector: Tensor, ofTask task: Int, gradients: inout GradientBuffer, in context: PassContext
    ) {
        guard parameters.indices.contains(task - 1), let slot = context.slot(of: parameters[task - 1]) else { return }
        gradients.add(dVector, at: slot)
    }
}
