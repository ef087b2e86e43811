/// A prompt that a model cannot take, or settings that mean nothing.
public struct SegmentAnythingError: Error, CustomStringConvertible, Equatable {
    /// What is wrong.
    public enum Kind: Sendable, Equatable {
        /// The prompts of a batch do not fit together.
        case prompt
        /// The prompts do not fit the model.
        case size
        /// The model has no place for what was asked of it.
        case unsupported
        /// The settings of the automatic mask generator mean nothing.
        case settings
    }

    /// What is wrong.
    public let kind: Kind
    /// What, where, and the remedy, in one line.
    public let description: String

    /// Creates an error.
    public init(_ kind: Kind, _ description: String) { (self.kind, self.description) = (kind, description) }
}
