public import Recipes

/// How a node stores anchor embeddings across epochs.
public struct AnchorStoreSettings: RecipeSection {
    public var mode = Mode.on
    public var limitGiB = 0.0
    public var folder = ""
    public var keep = false

    /// By default, embeddings are stored for the duration of the run.
    public init() {}

    /// Whether embeddings are stored.
    public enum Mode: String, CaseIterable, Sendable {
        case on, off
    }

    public static let fields: [RecipeField<AnchorStoreSettings>] = [
        .choice(
            "mode", \.mode, effect: .machine, "Whether embeddings are stored; the result is the same either way"),
        .number(
            "limitGiB", \.limitGiB, 0...1e6, effect: .machine,
            "Maximum size on each node in GiB; 0 uses half of the free space or memory, whichever is less"),
        .text(
            "folder", \.folder, effect: .machine,
            "Folder on each node, /dev/shm for memory; empty uses the node's temporary folder"),
        .flag("keep", \.keep, effect: .machine, "Keep the embeddings for the next run"),
    ]
}
