import Foundation
import PackagePlugin

/// Writes the git revision of the package into a source file whenever a commit or a source file has changed.
@main struct RevisionPlugin: BuildToolPlugin {
    func createBuildCommands(context: PluginContext, target: any Target) throws -> [Command] {
        let root = context.package.directoryURL
        let file = context.pluginWorkDirectoryURL.appending(path: "BuiltRevision.swift")
        // Written only if it differs, so that nothing is recompiled for the same revision.
        let script = """
            cd "$1" || exit
            revision=$(git rev-parse --short=8 HEAD 2>/dev/null) || revision=unknown
            [ -z "$(git status --porcelain -- Package.swift Sources 2>/dev/null | head -n 1)" ] || revision=$revision+
            text="/// The revision of the build.
            let builtRevision = \\"$revision\\""
            [ "$text" = "$(cat "$2" 2>/dev/null)" ] || printf '%s\\n' "$text" >"$2"
            """
        return [
            .buildCommand(
                displayName: "Asking git for the revision", executable: URL(filePath: "/bin/sh"),
                arguments: ["-c", script, "revision", root.path, file.path],
                inputFiles: Self.inputs(root), outputFiles: [file])
        ]
    }

    /// The inputs of a revision: git's record of commits, and the source files that may differ from it.
    private static func inputs(_ root: URL) -> [URL] {
        let files = FileManager.default
        var inputs = [".git/HEAD", ".git/logs/HEAD", "Package.swift"].map { root.appending(path: $0) }
        let sources = files.enumerator(at: root.appending(path: "Sources"), includingPropertiesForKeys: nil)
        for case let source as URL in sources ?? .init() where !source.hasDirectoryPath { inputs.append(source) }
        return inputs.filter { files.fileExists(atPath: $0.path) }.sorted { $0.path < $1.path }
    }
}
