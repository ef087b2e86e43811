public import Kernels
public import Tensors

/// A place where an encoder lets a trainable update in: the fused qkv projection of one attention.
public struct AdapterSite: Sendable, Equatable {
    /// Position among the encoder's sites, from the input upwards.
    public let index: Int
    /// The projection's name in the weight file, as in `image_encoder.blocks.0.attn.qkv`.
    public let name: String
    /// Width of the projection's input.
    public let inputWidth: Int
    /// Width of each of q, k and v, which stand side by side in the output.
    public let outputWidth: Int

    /// Creates a site.
    public init(index: Int, name: String, inputWidth: Int, outputWidth: Int) {
        (self.index, self.name, self.inputWidth, self.outputWidth) = (index, name, inputWidth, outputWidth)
    }
}

/// A trainable update of an encoder's projections. Running an encoder without one is running the anchor.
public protocol ProjectionAdapter: Sendable {
    /// Adds the update at a site to y and returns what backward needs.
    ///
    /// - Parameters:
    ///   - x: Input of the projection. // [T, inputWidth]
    ///   - y: Its output so far. // [T, 3 outputWidth]
    func forward(site: Int, _ x: Tensor, addingTo y: inout Tensor, in workspace: Workspace) -> [Tensor]

    /// Writes the update's parameter gradients and adds its part to dX, if that is given.
    func backward(
        site: Int, _ dY: Tensor, input x: Tensor, saved: [Tensor], addingTo dX: inout Tensor?,
        gradients: inout GradientBuffer, in workspace: Workspace)
}

/// The gradient of all trainable numbers, flat, in the layout of the parameters themselves.
public struct GradientBuffer: Sendable {
    /// The numbers. // [P]
    public var values: Tensor

    /// A gradient of zeros.
    public init(count: Int) { values = Tensor(zeros: [count]) }

    /// Adds a tensor to the numbers from `offset` on.
    public mutating func add(_ tensor: Tensor, at offset: Int) {
        precondition(offset >= 0 && offset + tensor.count <= values.count)
        let destination = values.mutablePointer + offset
        let source = tensor.pointer
        for i in 0..<tensor.count { destination[i] += source[i] }
    }
}
