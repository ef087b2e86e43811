import Foundation
import Glibc

/// The files in /dev/shm over which Open MPI moves messages between the ranks of a node.
///
/// It removes them when a run ends in order, and leaves them (4 MiB a rank) when a rank or `mpirun` is killed. Once all
/// ranks of the node have mapped them, which MPI_Init does, their names are needed no more.
package enum TransportFiles {
    private static let prefixes = ["/dev/shm/vader_segment.", "/dev/shm/sm_segment."]

    /// Takes the names away of those this process has mapped; call it when every rank of the node has left MPI_Init.
    package static func unlinkMapped() {
        guard let maps = FileManager.default.contents(atPath: "/proc/self/maps") else { return }
        for path in paths(maps: String(decoding: maps, as: UTF8.self)) { unlink(path) }
    }

    /// Their paths, from the text of /proc/self/maps.
    package static func paths(maps: String) -> [String] {
        var paths: [String] = []
        for line in maps.split(separator: "\n") {
            guard let slash = line.firstIndex(of: "/") else { continue }
            let path = String(line[slash...])
            guard prefixes.contains(where: { path.hasPrefix($0) }), !path.hasSuffix(" (deleted)"), path != paths.last
            else { continue }
            paths.append(path)
        }
        return paths
    }
}
