/// A model that recipes and the command line can name, with everything Kedge must know about it beside its code.
///
/// All of them are listed in ``ModelCatalog``; two are equal if their names are.
public struct BaseModel: Sendable {
    /// The name, as in `model.kind` of a recipe.
    public let name: String
    /// The common name.
    public let title: String
    /// Encoder and decoder with their sizes.
    public let configuration: SegmentAnythingConfiguration
    /// The pixel preprocessing of the model's training.
    public let preprocessing: Preprocessing
    /// The kinds of prompt the model was trained on.
    public let prompts: [Prompt]
    /// The published weights; nil for a model of seeded random numbers.
    public let weights: PublishedWeights?

    /// The mapping from pixels to the model's input, by the values of the recipe key `preprocessing`.
    public enum Preprocessing: Sendable {
        /// SAM's mean and standard deviation.
        case sam
        /// Scaled from the image's own minimum and maximum to 0...1.
        case medsam
    }

    /// A kind of prompt.
    public enum Prompt: String, CaseIterable, Sendable {
        case box, point, mask

        /// The plural of the word.
        public var plural: String { self == .box ? "boxes" : rawValue + "s" }
    }
}

extension BaseModel: RawRepresentable, CaseIterable, Hashable, Codable {
    /// The name.
    public var rawValue: String { name }

    /// The model of that name, or nil.
    public init?(rawValue: String) {
        guard let model = ModelCatalog.models.first(where: { $0.name == rawValue }) else { return nil }
        self = model
    }

    /// All models, in the order of the catalog.
    public static var allCases: [BaseModel] { ModelCatalog.models }

    /// Whether two names are equal.
    public static func == (left: BaseModel, right: BaseModel) -> Bool { left.name == right.name }

    /// Hashes the name.
    public func hash(into hasher: inout Hasher) { hasher.combine(name) }
}

/// The file in which a model's weights are published.
public struct PublishedWeights: Sendable {
    /// The file's name in `scripts/fetch-weights`.
    public let fetchName: String
    /// The name of the file.
    public let file: String
    /// The size of the file.
    public let bytes: Int
    /// SHA-256 of the file, in lower-case hexadecimal.
    public let digest: String
    /// Where it is published.
    public let source: Source

    /// Where a file is published.
    public enum Source: Sendable {
        /// A member of the wheel of a package on PyPI.
        case wheel(package: String, version: String, member: String)
        /// The file itself, by its URL.
        case web(String)
    }
}
