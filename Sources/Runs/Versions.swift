import Machine
import Collectives
import Foundation
import Kernels

/// The versions a log and `--version` name.
public enum Versions {
    /// Kedge's own.
    public static let kedge = "0.1.0"

    /// Programs and libraries with their versions.
    public static var all: [(name: String, version: String)] {
        [
            ("kedge", kedge), ("mpi", String(MPICommunicator.libraryVersion.prefix { $0 != "," })),
            ("openblas", BLASEnvironment.configuration),
            ("system", ProcessInfo.processInfo.operatingSystemVersionString),
        ]
    }
}
