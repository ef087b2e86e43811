/// An image of a run: the source it comes from, and its place there.
///
/// A source's own images are numbered from 0; those of its second folder to evaluate on (`evaluationRoot`) follow.
public struct ImageID: Hashable, Sendable {
    /// The source's place among the run's sources.
    public let source: Int
    /// The image's place in the source.
    public let index: Int

    /// Names an image.
    public init(source: Int, index: Int) {
        precondition(source >= 0 && index >= 0 && index < 1 << Self.indexBits, "source \(source), image \(index)")
        (self.source, self.index) = (source, index)
    }

    private static let indexBits = 40

    /// One whole number for both, as checkpoints and ranks pass it on: the index itself in the first source.
    public var number: Int { source << Self.indexBits | index }

    /// Reads a number.
    public init(number: Int) {
        self.init(source: number >> Self.indexBits, index: number & (1 << Self.indexBits - 1))
    }
}

extension ImageID: Comparable {
    /// By source, then by place.
    public static func < (first: ImageID, second: ImageID) -> Bool { first.number < second.number }
}

extension ImageID: Codable {
    /// Reads the number.
    public init(from decoder: any Decoder) throws {
        self.init(number: try decoder.singleValueContainer().decode(Int.self))
    }

    /// Writes the number.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(number)
    }
}
