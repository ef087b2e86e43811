extension CheckpointManifest {
    /// The kernels with which some or all ranks computed from a step on.
    public struct Kernels: Codable, Sendable, Equatable {
        /// Steps done before they came into use; they apply up to the next entry with another number.
        public var firstStep: Int
        /// `all`, or the numbers of the ranks if these differed, as in `0-3, 6`.
        public var ranks: String
        /// The core whose kernels OpenBLAS ran.
        public var core: String
        /// OpenBLAS's version.
        public var version: String
        /// The instruction sets of Kedge's own kernels.
        public var form: String

        /// Creates an entry.
        public init(firstStep: Int, ranks: String, core: String, version: String, form: String) {
            (self.firstStep, self.ranks) = (firstStep, ranks)
            (self.core, self.version, self.form) = (core, version, form)
        }

        /// The ranks in words, as in `rank 3` or `ranks 0-2, 4`; nil if all ranks had the same kernels.
        package var owners: String? {
            ranks == "all" ? nil : (ranks.allSatisfy(\.isNumber) ? "rank " : "ranks ") + ranks
        }

        /// The line shown to users.
        var line: String {
            "kernels from step \(firstStep)\(owners.map { ", " + $0 } ?? ""): \(version) core \(core), own \(form)"
        }
    }
}

extension [CheckpointManifest.Kernels] {
    /// The entries of the latest steps.
    package var newest: [CheckpointManifest.Kernels] { filter { $0.firstStep == last?.firstStep } }

    /// The record of a run that continues from a checkpoint with this one; unchanged if it computes as before.
    ///
    /// - Parameters:
    ///   - kernels: The run's own kernels; their step is ignored.
    ///   - step: The checkpoint's step.
    package func followed(by kernels: [CheckpointManifest.Kernels], at step: Int) -> [CheckpointManifest.Kernels] {
        func moved(_ entries: [CheckpointManifest.Kernels]) -> [CheckpointManifest.Kernels] {
            entries.map { entry in
                var entry = entry
                entry.firstStep = step
                return entry
            }
        }
        // Entries that begin at this very step were never used.
        return moved(newest) == moved(kernels) ? self : filter { $0.firstStep < step } + moved(kernels)
    }
}
