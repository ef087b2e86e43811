/// The extents of a tensor, outermost first; at most four of them.
public struct Shape: Equatable, Hashable, Sendable, ExpressibleByArrayLiteral, CustomStringConvertible {
    /// The extents, outermost first.
    public let dimensions: [Int]

    /// Creates a shape from its extents.
    public init(_ dimensions: [Int]) {
        precondition(dimensions.count <= 4, "a tensor has at most four dimensions, not \(dimensions.count)")
        precondition(dimensions.allSatisfy { $0 >= 0 }, "negative extent in \(dimensions)")
        self.dimensions = dimensions
    }

    /// Creates a shape from a literal, as in `[4096, 256]`.
    public init(arrayLiteral elements: Int...) {
        self.init(elements)
    }

    /// The number of dimensions.
    public var rank: Int { dimensions.count }

    /// The number of elements: the product of the extents (1 for a scalar).
    public var count: Int { dimensions.reduce(1, *) }

    /// The extent of one dimension.
    public subscript(index: Int) -> Int { dimensions[index] }

    /// The shape in the form `[4096, 256]`.
    public var description: String { "[" + dimensions.map(String.init).joined(separator: ", ") + "]" }
}
