public import Collectives
import Foundation
public import Recipes

/// What the ranks of a node share.
public struct NodeSettings: RecipeSection {
    public var baseMemory = NodeSharedMemory.Kind.window
    public var temporaryFolder = ""

    /// Defaults to one copy of the frozen weights per node.
    public init() {}

    public static let fields: [RecipeField<NodeSettings>] = [
        .choice(
            "baseMemory", \.baseMemory, effect: .machine,
            "One copy of the frozen weights per node in a shared window, or a private one per rank"),
        .text(
            "temporaryFolder", \.temporaryFolder, effect: .machine,
            "Folder for node-local files; empty uses $TMPDIR, or /tmp if unset"),
    ]

    /// The folder for node-local files.
    public var folderForTemporaryFiles: String {
        if !temporaryFolder.isEmpty { return temporaryFolder }
        return ProcessInfo.processInfo.environment["TMPDIR"].flatMap { $0.isEmpty ? nil : $0 } ?? "/tmp"
    }
}
