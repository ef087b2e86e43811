/// A router that does not fit its model, or memory images from which none can be trained.
public struct RoutingError: Error, CustomStringConvertible, Equatable {
    /// The kind of error.
    public enum Kind: Sendable, Equatable {
        /// The model cannot compute the query.
        case query
        /// There are too few memory images, or a domain has none.
        case memory
        /// A feature, a loss or a gradient is not finite.
        case notFinite
    }

    /// The kind of error.
    public let kind: Kind
    /// The fault, where it is, and the remedy, in one line.
    public let description: String

    /// Creates an error.
    public init(_ kind: Kind, _ description: String) { (self.kind, self.description) = (kind, description) }
}
