import Collectives
import Foundation
import Machine

/// The versions a log and `--version` name.
public enum Versions {
    /// Kedge's own: the only place that states it beside CITATION.cff, which scripts/lint compares.
    public static let kedge = "0.2.0"

    /// Version and git revision, as `--version` prints them.
    public static func full(revision: String) -> String { "\(kedge) (\(revision))" }

    /// Programs and libraries with their versions.
    ///
    /// - Parameter revision: The git revision of the build, which only the program knows.
    static func all(revision: String) -> [(name: String, version: String)] {
        [
            ("kedge", full(revision: revision)), ("mpi", String(MPICommunicator.libraryVersion.prefix { $0 != "," })),
            ("openblas", BLASEnvironment.configuration),
            ("system", ProcessInfo.processInfo.operatingSystemVersionString),
        ]
    }
}
