public import Recipes

/// Anchor embeddings that a node keeps from epoch to epoch.
public struct AnchorStoreSettings: RecipeSection {
    public var mode = Mode.on
    public var limitGiB = 0.0
    public var folder = ""
    public var keep = false

    /// Embeddings are kept for the run.
    public init() {}

    /// Whether embeddings are kept.
    public enum Mode: String, CaseIterable, Sendable {
        case on, off
    }

    public static let fields: [RecipeField<AnchorStoreSettings>] = [
        .choice(
            "mode", \.mode, effect: .machine, "Whether embeddings are kept; the result is the same either way"),
        .number(
            "limitGiB", \.limitGiB, 0...1e6, effect: .machine,
            "Largest size on each node, GiB; 0 is half of what the folder and the memory have free"),
        .text(
            "folder", \.folder, effect: .machine,
            "Folder on each node, /dev/shm for memory; empty is the node's temporary folder"),
        .flag("keep", \.keep, effect: .machine, "Leave the embeddings for the next run"),
    ]
}
