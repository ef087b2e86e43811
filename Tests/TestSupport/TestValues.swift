public import Tensors

/// Reproducible numbers for tests.
public enum TestValues {
    /// Numbers drawn uniformly from [-1, 1); the same purpose gives the same numbers.
    public static func uniform(_ count: Int, _ purpose: String) -> [Float] {
        var generator = SeededGenerator(seed: 1, purpose: purpose)
        return (0..<count).map { _ in Float(generator.uniform(-1, 1)) }
    }

    /// A tensor of numbers drawn uniformly from [-1, 1).
    public static func uniform(_ shape: Shape, _ purpose: String) -> Tensor {
        Tensor(uniform(shape.count, purpose), shape)
    }

    /// The elements of a tensor as Double.
    public static func doubles(_ tensor: Tensor) -> [Double] { tensor.elements.map(Double.init) }
}

/// An output tensor with sentinels before and after it, to catch kernels that write outside their output.
///
/// The tensor itself starts as NaN, to catch kernels that leave elements unwritten.
public struct GuardedOutput {
    /// The output; pass it to the kernel as `&output.tensor`.
    public var tensor: Tensor
    private static let band = 64
    private static let sentinel: Float = -123_456.5

    /// Prepares an output of a shape.
    public init(_ shape: Shape) {
        var whole = Tensor(repeating: Self.sentinel, [shape.count + 2 * Self.band])
        let start = whole.mutablePointer + Self.band
        for index in 0..<shape.count { start[index] = .nan }
        // The only owner of the storage from here on, so that writing does not copy it.
        tensor = whole.rows(Self.band..<(Self.band + shape.count)).reshaped(shape)
    }

    /// True while no sentinel has changed and every element has been written.
    public var isIntact: Bool {
        let start = tensor.pointer
        return withExtendedLifetime(tensor) {
            (1...Self.band).allSatisfy {
                start[-$0] == Self.sentinel && start[tensor.count + $0 - 1] == Self.sentinel
            } && (0..<tensor.count).allSatisfy { !start[$0].isNaN }
        }
    }
}
