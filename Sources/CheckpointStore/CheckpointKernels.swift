extension CheckpointManifest {
    /// The kernels that some or all ranks computed with from a step on.
    public struct Kernels: Codable, Sendable, Equatable {
        /// Steps that were done when they began; those up to the next entry with another number are theirs.
        public var firstStep: Int
        /// `all`, or the numbers of the ranks where these had different ones, as in `0-3, 6`.
        public var ranks: String
        /// The core whose kernels OpenBLAS ran.
        public var core: String
        /// OpenBLAS's version.
        public var version: String
        /// The instruction sets of Kedge's own kernels.
        public var form: String

        /// Describes kernels.
        public init(firstStep: Int, ranks: String, core: String, version: String, form: String) {
            (self.firstStep, self.ranks) = (firstStep, ranks)
            (self.core, self.version, self.form) = (core, version, form)
        }

        /// Whose they are, as in `rank 3` or `ranks 0-2, 4`; nil where all ranks had the same.
        package var owners: String? {
            ranks == "all" ? nil : (ranks.allSatisfy(\.isNumber) ? "rank " : "ranks ") + ranks
        }

        /// The line that people read.
        var line: String {
            "kernels from step \(firstStep)\(owners.map { ", " + $0 } ?? ""): \(version) core \(core), own \(form)"
        }
    }
}

extension [CheckpointManifest.Kernels] {
    /// The entries of the newest steps.
    package var newest: [CheckpointManifest.Kernels] { filter { $0.firstStep == last?.firstStep } }

    /// The record of a run that continues from a checkpoint with this one; the same where it computes as before.
    ///
    /// - Parameters:
    ///   - kernels: What the run computes with; the step in it is not looked at.
    ///   - step: The checkpoint's step.
    package func followed(by kernels: [CheckpointManifest.Kernels], at step: Int) -> [CheckpointManifest.Kernels] {
        func moved(_ entries: [CheckpointManifest.Kernels]) -> [CheckpointManifest.Kernels] {
            entries.map { entry in
                var entry = entry
                entry.firstStep = step
                return entry
            }
        }
        // Nothing was computed with those that begin at the very step.
        return moved(newest) == moved(kernels) ? self : filter { $0.firstStep < step } + moved(kernels)
    }
}
