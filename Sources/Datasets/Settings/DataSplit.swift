/// How the images of a source are divided into those to train on and those to evaluate on.
public enum DataSplit: Equatable, Sendable {
    /// As the data set's authors or the WeSAM paper divide it, where there is such a split, else 5:1.
    case published
    /// k images to train on for each one to evaluate on.
    case ratio(Int)
    /// All images serve both purposes.
    case none
    /// All images are evaluated on, none is trained on.
    case evaluate

    /// The grammar, for messages and the reference.
    static let grammar = "auto, k:1 with k from 1 to 1000, none, or evaluate"

    /// Images to train on per image to evaluate on where no split is published; nil when all images go the same way.
    package var trainingImagesPerEvaluationImage: Int? {
        switch self {
        case .published: 5
        case .ratio(let k): k
        case .none, .evaluate: nil
        }
    }
}

extension DataSplit: RawRepresentable {
    /// Reads `auto`, `k:1` or `none`; nil for other text.
    public init?(rawValue text: String) {
        switch text {
        case "auto": self = .published
        case "none": self = .none
        case "evaluate": self = .evaluate
        default:
            let parts = text.split(separator: ":", omittingEmptySubsequences: false)
            guard parts.count == 2, parts[1] == "1", let k = Int(parts[0]), (1...1000).contains(k) else { return nil }
            self = .ratio(k)
        }
    }

    /// The text of the recipe.
    public var rawValue: String {
        switch self {
        case .published: "auto"
        case .ratio(let k): "\(k):1"
        case .none: "none"
        case .evaluate: "evaluate"
        }
    }
}
