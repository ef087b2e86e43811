package import CheckpointStore
package import Collectives
import Foundation
package import Machine
import Telemetry
package import Training
import WeightFiles

/// Ensures that all ranks compute with the same kernels, or records how they differ.
package struct KernelAgreement: Sendable {
    /// Ranks with the same kernels.
    private struct Group: Sendable {
        let kernels: KernelSet
        var ranks: [Int]
    }

    /// Ordered by their first rank; a single group if all kernels are equal.
    private let groups: [Group]
    private let hosts: [String]

    /// Compares kernels across ranks; collective.
    ///
    /// Digests are compared first; the names and the processors' capabilities are exchanged only if they differ.
    ///
    /// - Parameters:
    ///   - kernels: This rank's kernels.
    ///   - possible: The highest OpenBLAS core supported by this rank's processor; nil if unknown.
    ///   - mixing: The recipe's policy for different kernels; the same on all ranks.
    ///
    /// Throws `RunError` on all ranks if kernels differ and the policy forbids it.
    package init(
        _ kernels: KernelSet = .loaded, possible: OpenBLASCore? = .highest(flags: BLASEnvironment.processorFlags()),
        mixing: ExecutionSettings.MixedKernelsRule, communicator: any Communicator
    ) throws {
        communicator.phase = "kernels"
        hosts = communicator.hostNames
        let digest = SHA256Digest()
        digest.update(Array(kernels.description.utf8))
        let digests = try communicator.allGather(bytes: Array(digest.hexadecimal().utf8))
        guard digests.contains(where: { $0 != digests[0] }) else {
            groups = [Group(kernels: kernels, ranks: Array(hosts.indices))]
            return
        }
        let mine = Report(kernels: kernels, possible: possible)
        let reports = try communicator.allGather(bytes: Array(try JSONEncoder().encode(mine))).map {
            try JSONDecoder().decode(Report.self, from: Data($0))
        }
        var groups: [Group] = []
        for (rank, report) in reports.enumerated() {
            if let index = groups.firstIndex(where: { $0.kernels == report.kernels }) {
                groups[index].ranks.append(rank)
            } else {
                groups.append(Group(kernels: report.kernels, ranks: [rank]))
            }
        }
        self.groups = groups
        guard mixing == .refuse else { return }
        throw RunError(
            .configuration, "ranks compute with different kernels, which give different bits: \(differences)",
            remedy: Self.remedy(KernelSet.remedies(reports.map { ($0.kernels, $0.possible) })))
    }

    /// The remedy: make ranks equal, or allow them to differ.
    package static func remedy(_ remedies: [String]) -> String {
        remedies.joined(separator: " and ") + ", or set execution.mixedKernels=allow if bits may differ"
    }

    /// A rank's kernels, as exchanged between ranks.
    private struct Report: Codable {
        var kernels: KernelSet
        var possible: OpenBLASCore?
    }

    /// Which ranks have which kernels, as in `rank 0 on node0 has OpenBLAS core Zen, ranks 1-3 on node1 have OpenBLAS
    /// core Haswell`.
    private var differences: String {
        let sets = groups.map(\.kernels)
        return groups.map { group in
            "\(RankNames.named(group.ranks, hosts: hosts)) \(group.ranks.count == 1 ? "has" : "have") "
                + group.kernels.description(differingIn: sets)
        }.joined(separator: ", ")
    }

    /// The log's warning about different kernels; nil if all are equal.
    package var warning: String? {
        guard groups.count > 1 else { return nil }
        return "execution.mixedKernels=allow: results are not bit-identical, because ranks compute with different "
            + "kernels: \(differences)"
    }

    /// The kernels as recorded in a checkpoint.
    package var record: [CheckpointManifest.Kernels] {
        groups.map { group in
            CheckpointManifest.Kernels(
                firstStep: 0, ranks: groups.count == 1 ? "all" : RankNames.spans(group.ranks), core: group.kernels.core,
                version: group.kernels.version, form: group.kernels.form)
        }
    }

    /// The log's warning about a checkpoint computed with other kernels; nil if they are the same, or if the
    /// checkpoint's format does not record them.
    package func difference(from checkpoint: [CheckpointManifest.Kernels]?) -> String? {
        guard let before = checkpoint?.newest, !before.isEmpty else { return nil }
        func texts(_ entries: [CheckpointManifest.Kernels]) -> [String] {
            entries.map { entry in
                let set = KernelSet(core: entry.core, version: entry.version, form: entry.form)
                return (entry.owners.map { $0 + " " } ?? "") + set.description
            }
        }
        let (old, new) = (texts(before), texts(record))
        guard old != new else { return nil }
        return "the checkpoint was computed with \(old.joined(separator: "; ")), this run computes with "
            + "\(new.joined(separator: "; ")): the result is bit-identical to neither"
    }
}
