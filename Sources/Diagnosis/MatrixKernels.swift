import Foundation
import Kernels
package import Machine
import Runs
import Telemetry

/// The OpenBLAS kernels of a rank.
package struct KernelFacts: Codable, Sendable, Equatable {
    /// The core OpenBLAS chose.
    package var core = ""
    /// The core it should have chosen on this processor; nil if its choice is right.
    package var betterCore: String?
    /// The highest core its processor supports; nil if unknown.
    package var possibleCore: OpenBLASCore?
    /// The user's own `OPENBLAS_CORETYPE`.
    package var chosenByUser: String?
    /// Version, as in `OpenBLAS 0.3.21`.
    package var version = ""
    /// The instruction sets of Kedge's own kernels.
    package var form = ""
    /// `pthreads`, `OpenMP` or `none`.
    package var threading = ""
    /// Threads per call.
    package var threads = 1

    package init() {}

    /// The kernels loaded in this process.
    static func now(_ environment: [String: String]) -> KernelFacts {
        var facts = KernelFacts()
        let (kernels, flags) = (KernelSet.loaded, BLASEnvironment.processorFlags())
        (facts.core, facts.version, facts.form) = (kernels.core, kernels.version, kernels.form)
        facts.betterCore = BLASEnvironment.coreTypeToSet(
            coreName: facts.core, flags: flags, environment: [:])
        facts.possibleCore = OpenBLASCore.highest(flags: flags)
        // A process that replaced itself has set the variable on its own.
        facts.chosenByUser = environment["KEDGE_RESTARTED"] == nil ? environment["OPENBLAS_CORETYPE"] : nil
        (facts.threading, facts.threads) = (BLASEnvironment.threading, BLASEnvironment.threads)
        return facts
    }
}

extension Check {
    /// Checks that all ranks compute with the same, fast matrix kernels.
    static let kernels = Check("OpenBLAS") { ranks in
        let findings = slowKernels(ranks) + differentKernels(ranks) + ownThreads(ranks)
        guard findings.isEmpty else { return findings }
        let facts = ranks[0].kernels
        return [
            .ok(
                "\(facts.version), \(facts.core) kernels\(ranks.count > 1 ? " on all ranks" : ""), one thread per call, "
                    + "\(facts.threading)")
        ]
    }

    private static func slowKernels(_ ranks: [RankFacts]) -> [Finding] {
        let complaints = ranks.compactMap { rank -> Complaint? in
            let facts = rank.kernels
            // A user who pins AVX2 kernels on a newer processor wants bit-identical results on a mixed cluster.
            guard let better = facts.betterCore, facts.chosenByUser == nil || OpenBLASCore(coreName: facts.core) == nil
            else { return nil }
            return Complaint(
                ranks: [rank], text: "\(facts.core) kernels are slow on this processor, which can run \(better)",
                remedy: facts.chosenByUser == nil
                    ? "mpirun -x OPENBLAS_CORETYPE=\(better)" : "unset OPENBLAS_CORETYPE or set it to \(better)")
        }
        return Complaint.findings(complaints)
    }

    /// Differences that a run refuses, or accepts if its recipe allows them.
    private static func differentKernels(_ ranks: [RankFacts]) -> [Finding] {
        let allows = ranks.allSatisfy { rank in
            rank.recipe.settings.contains { $0 == .init("execution.mixedKernels", "allow") }
        }
        func findings(_ value: (RankFacts) -> String, _ noun: String, _ remedy: String) -> [Finding] {
            let values = Majority(ranks, by: value)
            return values.odd.map { odd in
                Finding(
                    allows ? .warning : .fault(.usage),
                    "\(named(odd.ranks)): \(odd.value)\(noun), \(values.others) \(values.value): different bits",
                    remedy: allows ? remedy : KernelAgreement.remedy([remedy]))
            }
        }
        let common = OpenBLASCore.common(ranks.map { ($0.kernels.core, $0.kernels.possibleCore) })
        return findings(\.kernels.core, " kernels", common.remedy)
            + findings(\.kernels.version, "", KernelSet.sameVersion)
            + findings(\.kernels.form, " in Kedge's own kernels", KernelSet.sameForm)
    }

    private static func ownThreads(_ ranks: [RankFacts]) -> [Finding] {
        let complaints = ranks.filter { $0.kernels.threads != 1 }.map { rank in
            Complaint(
                ranks: [rank],
                text:
                    "OpenBLAS (\(rank.kernels.threading)) uses \(rank.kernels.threads) threads in each "
                    + "thread of Kedge",
                remedy: rank.kernels.threading == "OpenMP"
                    ? "mpirun -x OMP_NUM_THREADS=1, or install libopenblas0-pthread"
                    : "mpirun -x OPENBLAS_NUM_THREADS=1")
        }
        return Complaint.findings(complaints)
    }
}
