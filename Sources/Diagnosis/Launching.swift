import Collectives
import Telemetry

/// How a rank was started.
package struct LaunchFacts: Codable, Sendable, Equatable {
    package var launcher = Launch.Launcher.none.rawValue
    /// The number of ranks according to the environment.
    package var expectedRanks: Int?
    /// The environment variable with that number.
    package var evidence = ""
    /// The number of ranks that connected.
    package var worldSize = 1
    /// The MPI library's description of itself.
    package var library = ""

    package init() {}

    init(_ launch: Launch, worldSize: Int) {
        (launcher, expectedRanks, evidence) = (launch.launcher.rawValue, launch.expectedRanks, launch.evidence)
        (self.worldSize, library) = (worldSize, MPICommunicator.libraryVersion)
    }

    /// True if a launcher such as `mpirun` started the rank.
    var isLaunched: Bool { launcher != Launch.Launcher.none.rawValue }
}

extension Check {
    /// Checks that the started ranks connected to each other.
    static let launcher = Check("launcher") { ranks in
        let launch = ranks[0].launch
        if ranks.count == 1, launch.worldSize == 1, let expected = launch.expectedRanks, expected > 1 {
            return [
                .fault(
                    .usage,
                    "\(launch.evidence), but this process is alone: \(expected) runs of one rank would overwrite "
                        + "each other",
                    remedy: "start with the mpirun of the Open MPI that Kedge was built with, or srun --mpi=pmix")
            ]
        }
        let ways: [Launch.Launcher: String] = [.openMPI: "mpirun", .pmix: "a PMIx launcher", .pmi: "a PMI launcher"]
        guard let way = Launch.Launcher(rawValue: launch.launcher).flatMap({ ways[$0] }) else {
            return [.ok("started alone, without mpirun: a run of one rank")]
        }
        return [.ok("\(way), \(counted(ranks.count, "rank"))")]
    }

    /// Checks that all ranks use the same MPI library.
    static let library = Check("MPI library") { ranks in
        let versions = Majority(ranks) { String($0.launch.library.prefix { $0 != "," }) }
        if !versions.odd.isEmpty {
            return versions.odd.map { odd in
                .fault(
                    .usage, "\(named(odd.ranks)) loaded \(odd.value), \(versions.others) \(versions.value)",
                    remedy: "install the same Open MPI on every node, and check PATH and LD_LIBRARY_PATH there")
            }
        }
        let packages = Majority(ranks) { $0.launch.library }
        guard packages.odd.isEmpty else {
            return packages.odd.map { odd in
                .warning(
                    "\(named(odd.ranks)): another package of \(versions.value) than \(named(packages.ranks))",
                    remedy: "install the same package of Open MPI on every node")
            }
        }
        return [.ok(versions.value + (ranks.count > 1 ? " on all ranks" : ""))]
    }
}
