/// Adapters or parameters that a model does not have.
public struct AdapterError: Error, CustomStringConvertible, Equatable {
    /// What, where, and the remedy, in one line.
    public let description: String

    /// Creates an error.
    public init(_ description: String) { self.description = description }
}
