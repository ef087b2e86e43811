package import CheckpointStore
import Foundation
import Glibc
package import Telemetry

// What an earlier run has left in a folder.

extension RunFolder {
    /// True if there are checkpoints, whole or not.
    package var holdsCheckpoints: Bool { !checkpointNames.isEmpty }

    private var checkpointNames: [String] {
        names(in: checkpoints).filter { $0.hasPrefix("step-") || $0.hasPrefix("stale-step-") }
    }

    private func names(in folder: String) -> [String] {
        ((try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []).sorted()
    }

    /// True if the run in the folder never made a step: nothing is lost if another one takes its place.
    package var isUnbegun: Bool {
        guard holdsRun, !holdsAdapter, access(path + "/summary.txt", F_OK) != 0 else { return false }
        guard checkpointNames.allSatisfy({ $0 == "step-000000" }) else { return false }
        guard !names(in: path + "/adapters").contains(where: { !$0.hasPrefix(".") }) else { return false }
        let log = FileManager.default.contents(atPath: path + "/log.jsonl") ?? Data()
        return log.range(of: Data("\"event\":\"step\"".utf8)) == nil
    }

    /// The recipe of the run in the folder.
    var recipeText: String? { try? String(contentsOfFile: path + "/recipe.yaml", encoding: .utf8) }

    /// The error of a run that may neither continue nor replace the run in its folder.
    package var heldAlready: RunError {
        holdsCheckpoints
            ? RunError(
                .cannotWrite, "\(path) already holds a run",
                remedy: "choose another run.name, continue it with --resume auto, or replace it with --overwrite")
            : RunError(
                .cannotWrite, "\(path) holds a run without the checkpoints to continue it from",
                remedy: "put them back into \(checkpoints), choose another run.name, or replace the run with "
                    + "--overwrite")
    }

    /// Refuses links among the entries that a run writes to: they would lead its writes out of the folder.
    ///
    /// Throws `CheckpointError`.
    package func refuseLinks() throws(CheckpointError) {
        let folders = ["adapters", "checkpoints", "automatic", "maps", "refiner", "watch", "pool"]
        let appended = ["log.jsonl", "evaluation.csv"]
        for name in names(in: path) {
            let isTable = name.hasPrefix("images-") && name.hasSuffix(".csv")
            guard
                folders.contains(name) || appended.contains(name) || isTable
                    || ["recipe.yaml", "summary.txt"].contains(name)
            else { continue }
            let entry = path + "/" + name
            var status = stat()
            guard lstat(entry, &status) == 0 else { continue }
            let kind = status.st_mode & S_IFMT
            if kind == S_IFLNK { throw .link(entry, "a symbolic link") }
            if folders.contains(name) {
                guard kind == S_IFDIR else { throw .link(entry, "no folder") }
            } else {
                guard kind == S_IFREG else { throw .link(entry, "no regular file") }
                // Other files are replaced, which leaves a second name alone.
                guard status.st_nlink == 1 || !appended.contains(name) else {
                    throw .link(entry, "another name of a file (hard link)")
                }
            }
        }
        // What is made of images stands in these or, of named sources, one below.
        for folder in ["automatic", "maps"].map({ path + "/" + $0 }) {
            for name in names(in: folder)
            where (try? FileManager.default.destinationOfSymbolicLink(atPath: folder + "/" + name)) != nil {
                throw .link(folder + "/" + name, "a symbolic link")
            }
        }
    }
}
