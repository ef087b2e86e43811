/// Prompts that a model cannot process, or invalid settings.
public struct SegmentAnythingError: Error, CustomStringConvertible, Equatable {
    /// The kind of error.
    public enum Kind: Sendable, Equatable {
        /// The prompts of a batch are inconsistent.
        case prompt
        /// The prompts do not fit the model.
        case size
        /// The model does not support the request.
        case unsupported
        /// The settings of the automatic mask generator are invalid.
        case settings
    }

    /// The kind of error.
    public let kind: Kind
    /// The fault, where it is, and the remedy, in one line.
    public let description: String

    /// Creates an error.
    public init(_ kind: Kind, _ description: String) { (self.kind, self.description) = (kind, description) }
}
