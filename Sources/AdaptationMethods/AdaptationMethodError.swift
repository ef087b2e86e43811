/// A method, setting or example that adaptation cannot take.
public struct AdaptationMethodError: Error, CustomStringConvertible, Equatable {
    /// What is wrong.
    public enum Kind: Sendable, Equatable {
        /// No method of that name.
        case unknownMethod
        /// Settings that do not fit the model.
        case settings
        /// An example or cached embedding that does not fit the model.
        case example
    }

    /// What is wrong.
    public let kind: Kind
    /// What, where, and the remedy, in one line.
    public let description: String

    /// Creates an error.
    public init(_ kind: Kind, _ description: String) { (self.kind, self.description) = (kind, description) }
}
