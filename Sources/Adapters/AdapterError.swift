/// An adapter or parameters that do not exist, or an adapter that cannot be merged.
public struct AdapterError: Error, CustomStringConvertible, Equatable {
    /// The fault, where it is, and the remedy, in one line.
    public let description: String

    /// Creates an error.
    public init(_ description: String) { self.description = description }
}
