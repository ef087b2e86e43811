package import CheckpointStore
package import Collectives
import Foundation
package import Machine
import Telemetry
package import Training
import WeightFiles

/// Makes sure that all ranks compute with the same kernels, or notes which have others.
package struct KernelAgreement: Sendable {
    /// Ranks with the same kernels.
    private struct Group: Sendable {
        let kernels: KernelSet
        var ranks: [Int]
    }

    /// In the order of their first ranks; one where all compute alike.
    private let groups: [Group]
    private let hosts: [String]

    /// Compares kernels over ranks; each rank calls it.
    ///
    /// Digests are compared first; only where they differ do the names travel, and what the processors can run.
    ///
    /// - Parameters:
    ///   - kernels: What this rank computes with.
    ///   - possible: The highest OpenBLAS core that this rank's processor can run; nil if that is not known.
    ///   - mixing: What the recipe says of ranks that differ; the same on all of them.
    ///
    /// Throws `RunError` on all ranks where they differ and may not.
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

    /// What a user can do: make ranks equal, or let them differ.
    package static func remedy(_ remedies: [String]) -> String {
        remedies.joined(separator: " and ") + ", or set execution.mixedKernels=allow if equal bits are not wanted"
    }

    /// What a rank tells the others.
    private struct Report: Codable {
        var kernels: KernelSet
        var possible: OpenBLASCore?
    }

    /// Who has what, as in `rank 0 on node0 has OpenBLAS core Zen, ranks 1-3 on node1 have OpenBLAS core Haswell`.
    private var differences: String {
        let sets = groups.map(\.kernels)
        return groups.map { group in
            "\(RankNames.named(group.ranks, hosts: hosts)) \(group.ranks.count == 1 ? "has" : "have") "
                + group.kernels.description(differingIn: sets)
        }.joined(separator: ", ")
    }

    /// What a log says of ranks that differ; nil where they do not.
    package var warning: String? {
        guard groups.count > 1 else { return nil }
        return "execution.mixedKernels=allow: equal bits are not to be expected, because ranks compute with different "
            + "kernels: \(differences)"
    }

    /// What a checkpoint says of them.
    package var record: [CheckpointManifest.Kernels] {
        groups.map { group in
            CheckpointManifest.Kernels(
                firstStep: 0, ranks: groups.count == 1 ? "all" : RankNames.spans(group.ranks), core: group.kernels.core,
                version: group.kernels.version, form: group.kernels.form)
        }
    }

    /// What a log says of a checkpoint that was computed with other kernels; nil where they are the same, or the
    /// checkpoint is of a form that does not name them.
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
            + "\(new.joined(separator: "; ")): its result will have the bits of neither"
    }
}
