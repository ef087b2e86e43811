import Foundation
import Glibc

/// The files in /dev/shm through which Open MPI sends messages between the ranks of a node.
///
/// It removes them when a run ends normally, and leaves them (4 MiB a rank) when a rank or `mpirun` is killed. Once all
/// ranks of the node have mapped them, which MPI_Init does, their names are no longer needed.
package enum TransportFiles {
    private static let prefixes = ["/dev/shm/vader_segment.", "/dev/shm/sm_segment."]

    /// Unlinks those this process has mapped; call it when every rank of the node has left MPI_Init.
    ///
    /// - Returns: Their paths, including those that another rank unlinked first.
    package static func unlinkMapped() -> [String] {
        guard let maps = FileManager.default.contents(atPath: "/proc/self/maps") else { return [] }
        let paths = paths(maps: String(decoding: maps, as: UTF8.self))
        for path in paths { unlink(path) }
        return paths
    }

    /// Puts an empty file in the place of a rank's own one, which MPI_Finalize removes, complaining if it is missing.
    ///
    /// - Parameter rank: The rank among those of its node, by which Open MPI names the file.
    package static func restore(_ paths: [String], rank: Int) {
        for path in paths where path.hasSuffix(".\(rank)") {
            let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
            if descriptor >= 0 { close(descriptor) }
        }
    }

    /// Their paths, from the text of /proc/self/maps.
    package static func paths(maps: String) -> [String] {
        var paths: [String] = []
        for line in maps.split(separator: "\n") {
            guard let slash = line.firstIndex(of: "/") else { continue }
            let path = String(line[slash...]).replacing(" (deleted)", with: "")
            guard prefixes.contains(where: { path.hasPrefix($0) }), !paths.contains(path) else { continue }
            paths.append(path)
        }
        return paths
    }
}
