import CheckpointStore
import Collectives
import Kernels
import Machine
import Runs
import Telemetry
import Testing
import Training

/// Ranks with equal or different kernels, and the messages about them.
@Suite struct KernelAgreementTests {
    private static let haswell = KernelSet(core: "Haswell", version: "OpenBLAS 0.3.21")
    private static let skylake = KernelSet(core: "SkylakeX", version: "OpenBLAS 0.3.21")

    /// Each rank's agreement for these kernels, or its error.
    private func answers(
        _ kernels: [KernelSet], possible: OpenBLASCore? = .skylakeX,
        _ mixing: ExecutionSettings.MixedKernelsRule = .refuse
    ) throws -> [Result<KernelAgreement, RunError>] {
        try InProcessCommunicator.run(ranks: kernels.count, ranksPerNode: 2) { communicator in
            do {
                return .success(
                    try KernelAgreement(
                        kernels[communicator.rank], possible: possible, mixing: mixing, communicator: communicator))
            } catch let error as RunError {
                return .failure(error)
            }
        }
    }

    private func agreement(_ kernels: KernelSet..., mixing: ExecutionSettings.MixedKernelsRule = .refuse) throws
        -> KernelAgreement
    {
        try answers(kernels, mixing)[0].get()
    }

    @Test func equalRanksAgreeAndNothingIsSaid() throws {
        for answer in try answers([Self.haswell, Self.haswell, Self.haswell]) {
            let agreement = try answer.get()
            #expect(agreement.warning == nil)
            #expect(
                agreement.record == [
                    .init(firstStep: 0, ranks: "all", core: "Haswell", version: "OpenBLAS 0.3.21", form: "x86-64-v3")
                ])
        }
    }

    /// All ranks report the same line, so that any of them is sufficient.
    @Test func ranksThatDifferAreRefusedOnAllRanks() throws {
        let answers = try answers([Self.haswell, Self.skylake, Self.haswell, Self.haswell])
        let lines = answers.map { answer -> String in
            guard case .failure(let error) = answer else { return "" }
            #expect(error.kind == .configuration && error.exitCode == .usage)
            return error.description
        }
        #expect(lines.allSatisfy { $0 == lines[0] })
        let line = lines[0]
        #expect(line.contains("ranks 0, 2-3 on ") && line.contains(" have OpenBLAS core Haswell"))
        #expect(line.contains("rank 1 on ") && line.contains(" has OpenBLAS core SkylakeX"))
        #expect(line.contains("mpirun -x OPENBLAS_CORETYPE=SkylakeX for all ranks on all nodes"))
        #expect(line.contains("execution.mixedKernels=allow"))
    }

    @Test func theRemedyIsForTheLeastProcessor() throws {
        let error = try InProcessCommunicator.run(ranks: 3) { communicator in
            #expect(throws: RunError.self) {
                try KernelAgreement(
                    communicator.rank == 2 ? Self.haswell : Self.skylake,
                    possible: communicator.rank == 2 ? .haswell : .cooperlake, mixing: .refuse,
                    communicator: communicator)
            }
        }
        #expect(error[0]?.remedy.hasPrefix("mpirun -x OPENBLAS_CORETYPE=Haswell ") == true)
    }

    @Test func otherVersionsAndFormsAreRefusedToo() throws {
        var other = Self.haswell
        other.version = "OpenBLAS 0.3.29"
        guard case .failure(let version) = try answers([Self.haswell, other])[1] else {
            Issue.record("two versions agreed")
            return
        }
        #expect(version.problem.contains("has OpenBLAS 0.3.21, rank 1 on "))
        #expect(version.remedy.hasPrefix(KernelSet.sameVersion) && !version.remedy.contains("OPENBLAS_CORETYPE"))
        other = Self.haswell
        other.form = "x86-64-v4"
        guard case .failure(let form) = try answers([Self.haswell, other])[0] else {
            Issue.record("two forms agreed")
            return
        }
        #expect(form.problem.contains("own kernels x86-64-v4") && form.remedy.hasPrefix(KernelSet.sameForm))
    }

    @Test func whereItIsAllowedItIsRecorded() throws {
        let answers = try answers([Self.haswell, Self.skylake, Self.skylake], .allow)
        for answer in answers {
            let agreement = try answer.get()
            let warning = try #require(agreement.warning)
            #expect(warning.hasPrefix("execution.mixedKernels=allow: results are not bit-identical"))
            #expect(warning.contains("has OpenBLAS core Haswell, ranks 1-2 on "))
            #expect(agreement.record.map(\.ranks) == ["0", "1-2"])
            #expect(agreement.record.map(\.core) == ["Haswell", "SkylakeX"])
        }
    }

    @Test func goingOnWithOtherKernelsIsSaid() throws {
        let (here, there) = (try agreement(Self.haswell), try agreement(Self.skylake, Self.skylake))
        #expect(here.difference(from: nil) == nil && here.difference(from: []) == nil)
        #expect(here.difference(from: here.record) == nil)
        // Fewer or more ranks with the same kernels compute the same result.
        #expect(there.difference(from: try agreement(Self.skylake).record) == nil)
        let line = try #require(there.difference(from: here.record))
        #expect(line.contains("was computed with OpenBLAS 0.3.21 core Haswell, own kernels x86-64-v3, this run"))
        #expect(line.contains("this run computes with OpenBLAS 0.3.21 core SkylakeX"))
        // The newest entries count.
        let both = here.record.followed(by: there.record, at: 7)
        #expect(there.difference(from: both) == nil && here.difference(from: both) != nil)
        let mixed = try agreement(Self.haswell, Self.skylake, mixing: .allow)
        #expect(here.difference(from: mixed.record)?.contains("rank 1 OpenBLAS 0.3.21 core SkylakeX") == true)
        #expect(mixed.difference(from: mixed.record) == nil)
    }
}
