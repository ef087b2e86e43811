public import Datasets
public import Recipes
public import SegmentAnything

/// The base model.
public struct ModelSettings: RecipeSection {
    public var kind = ModelCatalog.standard
    public var weights = ""
    public var imageSize = 0
    public var preprocessing = PreprocessingChoice.automatic
    public var allGlobalEncoder = false

    /// Defaults to MobileSAM.
    public init() {}

    public static let fields: [RecipeField<ModelSettings>] = [
        .choice("kind", \.kind, "Architecture of the base model; tiny is a small seeded random model for tests"),
        .text(
            "weights", \.weights, effect: .experiment,
            "Checkpoint of the base model, .safetensors or .pth; empty uses the location of scripts/fetch-weights; "
                + "random:SEED generates random weights of the same sizes, to test memory and speed"),
        .integer(
            "imageSize", \.imageSize, 0...4096,
            "Side of the square the image is resized and padded to, in pixels; 0 uses the model's own"),
        .choice(
            "preprocessing", \.preprocessing,
            "Pixel normalisation and padding: sam, wesam, medsam, or auto for the model's own"),
        .flag(
            "allGlobalEncoder", \.allGlobalEncoder,
            "Attend over the whole image in every block of SAM's encoder, as CoSAM's released code does by mistake; only to "
                + "compare with its published numbers"),
    ]

    public var faults: [SettingFault] {
        var faults: [SettingFault] = []
        if imageSize % 16 != 0 {
            faults.append(
                SettingFault(key: "imageSize", rule: "must be 0 or a multiple of 16, the side of an image patch"))
        }
        if allGlobalEncoder, kind.configuration.allGlobal == nil {
            faults.append(
                SettingFault(
                    key: "allGlobalEncoder",
                    rule: "must be false with model.kind=\(kind.name), whose encoder is not SAM's own"))
        }
        return faults
    }

    /// The requested preprocessing, or else the model's own.
    public var resolvedPreprocessing: Preprocessing.Kind {
        if case .kind(let kind) = preprocessing { return kind }
        return switch kind.preprocessing {
        case .sam: .sam
        case .medsam: .medsam
        }
    }
}

/// A preprocessing, or the model's default.
public enum PreprocessingChoice: Sendable, Equatable, RawRepresentable, CaseIterable {
    /// The model's own.
    case automatic
    /// A fixed one, for any model.
    case kind(Preprocessing.Kind)

    /// `auto` and all kinds.
    public static let allCases = [automatic] + Preprocessing.Kind.allCases.map(kind)

    /// Parses `auto` or the name of a kind.
    public init?(rawValue text: String) {
        if text == "auto" {
            self = .automatic
        } else if let kind = Preprocessing.Kind(rawValue: text) {
            self = .kind(kind)
        } else {
            return nil
        }
    }

    /// The name in recipes.
    public var rawValue: String {
        switch self {
        case .automatic: "auto"
        case .kind(let kind): kind.rawValue
        }
    }
}
