import Collectives
import Foundation
import Machine

/// The versions reported by the log and `--version`.
public enum Versions {
    /// Kedge's version, also stated in CITATION.cff, which scripts/lint compares.
    public static let kedge = "0.2.0"

    /// Version and git revision, as printed by `--version`.
    public static func full(revision: String) -> String { "\(kedge) (\(revision))" }

    /// Programs and libraries with their versions.
    ///
    /// - Parameter revision: The git revision of the build, known only to the program.
    static func all(revision: String) -> [(name: String, version: String)] {
        [
            ("kedge", full(revision: revision)), ("mpi", String(MPICommunicator.libraryVersion.prefix { $0 != "," })),
            ("openblas", BLASEnvironment.configuration),
            ("system", ProcessInfo.processInfo.operatingSystemVersionString),
        ]
    }
}
