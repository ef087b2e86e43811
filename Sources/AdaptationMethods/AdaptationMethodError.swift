/// An unknown method, or an invalid setting or example.
public struct AdaptationMethodError: Error, CustomStringConvertible, Equatable {
    /// The kind of error.
    public enum Kind: Sendable, Equatable {
        /// No method has this name.
        case unknownMethod
        /// Settings that do not fit the model.
        case settings
        /// An example or cached embedding that does not fit the model.
        case example
    }

    /// The kind of error.
    public let kind: Kind
    /// The fault, where it is, and the remedy, in one line.
    public let description: String

    /// Creates an error.
    public init(_ kind: Kind, _ description: String) { (self.kind, self.description) = (kind, description) }
}
