import Foundation
import Kernels

/// Which kernels OpenBLAS runs on a rank.
package struct KernelFacts: Codable, Sendable, Equatable {
    /// The core OpenBLAS chose.
    package var core = ""
    /// The core it should have chosen here; nil when it is the right one.
    package var betterCore: String?
    /// The user's own `OPENBLAS_CORETYPE`.
    package var chosenByUser: String?
    /// Version, as in `OpenBLAS 0.3.21`.
    package var version = ""
    /// `pthreads`, `OpenMP` or `none`.
    package var threading = ""
    /// Threads a call takes.
    package var threads = 1

    package init() {}

    /// What this process has loaded.
    static func now(_ environment: [String: String]) -> KernelFacts {
        var facts = KernelFacts()
        facts.core = BLASEnvironment.coreName
        facts.betterCore = BLASEnvironment.coreTypeToSet(
            coreName: facts.core, flags: BLASEnvironment.processorFlags(), environment: [:])
        // A process that started itself again has set the variable on its own.
        facts.chosenByUser = environment["KEDGE_RESTARTED"] == nil ? environment["OPENBLAS_CORETYPE"] : nil
        facts.version = BLASEnvironment.configuration.split(separator: " ").prefix(2).joined(separator: " ")
        (facts.threading, facts.threads) = (BLASEnvironment.threading, BLASEnvironment.threads)
        return facts
    }
}

extension Check {
    /// Do all ranks compute with the same, fast matrix kernels?
    static let kernels = Check("OpenBLAS") { ranks in
        let findings = slowKernels(ranks) + differentKernels(ranks) + ownThreads(ranks)
        guard findings.isEmpty else { return findings }
        let facts = ranks[0].kernels
        return [
            .ok(
                "\(facts.version), \(facts.core) kernels\(ranks.count > 1 ? " on all ranks" : ""), one thread a call, "
                    + "\(facts.threading)")
        ]
    }

    private static func slowKernels(_ ranks: [RankFacts]) -> [Finding] {
        let complaints = ranks.compactMap { rank -> Complaint? in
            let facts = rank.kernels
            // Somebody who pins AVX2 kernels on a newer processor wants the same bits on a mixed cluster.
            guard let better = facts.betterCore, facts.chosenByUser == nil || !isModern(facts.core) else { return nil }
            return Complaint(
                ranks: [rank], text: "\(facts.core) kernels are slow on this processor, which can run \(better)",
                remedy: facts.chosenByUser == nil
                    ? "mpirun -x OPENBLAS_CORETYPE=\(better)" : "unset OPENBLAS_CORETYPE or set it to \(better)")
        }
        return Complaint.findings(complaints)
    }

    private static func differentKernels(_ ranks: [RankFacts]) -> [Finding] {
        let cores = Majority(ranks, by: \.kernels.core)
        let common = ranks.allSatisfy { hasAVX512($0.kernels.core) } ? "SkylakeX" : "Haswell"
        let versions = Majority(ranks, by: \.kernels.version)
        return cores.odd.map { odd in
            .warning(
                "\(named(odd.ranks)): \(odd.value) kernels, \(cores.others) \(cores.value): other bits "
                    + "than a cluster of one kind would give",
                remedy: "mpirun -x OPENBLAS_CORETYPE=\(common) on all of them, for results that can be repeated")
        }
            + versions.odd.map { odd in
                .warning(
                    "\(named(odd.ranks)): \(odd.value), \(versions.others) \(versions.value)",
                    remedy: "install the same OpenBLAS on every node")
            }
    }

    private static func ownThreads(_ ranks: [RankFacts]) -> [Finding] {
        let complaints = ranks.filter { $0.kernels.threads != 1 }.map { rank in
            Complaint(
                ranks: [rank],
                text:
                    "OpenBLAS (\(rank.kernels.threading)) takes \(rank.kernels.threads) threads in each "
                    + "thread of Kedge",
                remedy: rank.kernels.threading == "OpenMP"
                    ? "mpirun -x OMP_NUM_THREADS=1, or install libopenblas0-pthread"
                    : "mpirun -x OPENBLAS_NUM_THREADS=1")
        }
        return Complaint.findings(complaints)
    }

    private static func hasAVX512(_ core: String) -> Bool {
        ["skylakex", "cooperlake", "sapphirerapids"].contains(core.lowercased())
    }

    private static func isModern(_ core: String) -> Bool {
        hasAVX512(core) || ["haswell", "zen", "excavator"].contains(core.lowercased())
    }
}
