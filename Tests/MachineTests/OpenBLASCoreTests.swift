import Foundation
import Machine
import Testing

/// The kernels processors can run, and a core that all ranks of a run can use.
@Suite struct OpenBLASCoreTests {
    private static let avx2: Set = ["avx", "avx2", "fma", "bmi2"]
    private static let avx512 = avx2.union(["avx512f", "avx512dq", "avx512bw", "avx512vl"])
    private static let bfloat = avx512.union(["avx512_bf16"])

    @Test func aProcessorsHighestCore() {
        #expect(OpenBLASCore.highest(flags: []) == nil)
        #expect(OpenBLASCore.highest(flags: ["avx", "sse4_2"]) == nil)
        #expect(OpenBLASCore.highest(flags: Self.avx2) == .haswell)
        #expect(OpenBLASCore.highest(flags: Self.avx512) == .skylakeX)
        #expect(OpenBLASCore.highest(flags: Self.avx512.subtracting(["avx512vl"])) == .haswell)
        #expect(OpenBLASCore.highest(flags: Self.bfloat) == .cooperlake)
        #expect(OpenBLASCore.highest(flags: Self.bfloat.union(["amx_tile", "amx_bf16"])) == .sapphireRapids)
        // No processor known to OpenBLAS has these instruction sets without the lower ones.
        #expect(OpenBLASCore.highest(flags: Self.avx2.union(["avx512_bf16"])) == .haswell)
    }

    @Test func namesAsOpenBLASGivesThem() {
        for core in OpenBLASCore.allCases { #expect(OpenBLASCore(coreName: core.name) == core) }
        #expect(OpenBLASCore(coreName: "Zen") == .haswell && OpenBLASCore(coreName: "Excavator") == .haswell)
        #expect(OpenBLASCore(coreName: "SKYLAKEX") == .skylakeX)
        #expect(OpenBLASCore(coreName: "Sandybridge") == nil && OpenBLASCore(coreName: "") == nil)
    }

    @Test func theCoreThatAllRanksCanBeGiven() {
        func common(_ ranks: (String, OpenBLASCore?)...) -> OpenBLASCore { .common(ranks.map { ($0.0, $0.1) }) }
        // Different processors: the least capable one's core.
        #expect(common(("Zen", .haswell), ("SkylakeX", .skylakeX)) == .haswell)
        #expect(common(("SkylakeX", .skylakeX), ("Cooperlake", .cooperlake)) == .skylakeX)
        #expect(common(("SapphireRapids", .sapphireRapids), ("Cooperlake", .cooperlake)) == .cooperlake)
        // Equal processors, and a variable on one node: the higher of the running cores.
        #expect(common(("Haswell", .cooperlake), ("SkylakeX", .cooperlake)) == .skylakeX)
        #expect(common(("Haswell", .haswell), ("Sandybridge", .haswell)) == .haswell)
        // No rank runs the common core; never below Kedge's requirements.
        #expect(common(("Sandybridge", .skylakeX), ("Prescott", .skylakeX)) == .haswell)
        // If a processor's instruction sets are unknown, the running core counts.
        #expect(common(("Haswell", nil), ("SkylakeX", .skylakeX)) == .haswell)
        #expect(common(("SkylakeX", nil), ("Cooperlake", nil)) == .skylakeX)
    }

    /// This process runs the kernels its processor can, and reports the same names as OpenBLAS.
    @Test func whatIsLoadedHere() throws {
        let loaded = KernelSet.loaded
        #expect(loaded.version.hasPrefix("OpenBLAS ") && BLASEnvironment.configuration.hasPrefix(loaded.version))
        #expect(BLASEnvironment.configuration.contains(" \(loaded.core) "))
        let possible = try #require(OpenBLASCore.highest(flags: BLASEnvironment.processorFlags()))
        #expect(OpenBLASCore(coreName: loaded.core).map { $0 <= possible } ?? true)
    }

    /// The constant is the form for which the package is compiled.
    @Test func theFormIsThatOfThePackage() throws {
        let package = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().appendingPathComponent("Package.swift")
        let text = try String(contentsOf: package, encoding: .utf8)
        #expect(text.contains("\"-march=\(KernelForm.compiled.rawValue)\""))
        #expect(KernelSet.loaded.form == KernelForm.compiled.rawValue)
    }

    @Test func onlyWhatDiffersIsSaid() {
        let here = KernelSet(core: "Zen", version: "OpenBLAS 0.3.21")
        var there = here
        #expect(here.description == "OpenBLAS 0.3.21 core Zen, own kernels x86-64-v3")
        #expect(here.description(differingIn: [here, there]).isEmpty)
        #expect(KernelSet.remedies([(here, .haswell), (there, .skylakeX)]).isEmpty)
        there.core = "SkylakeX"
        #expect(here.description(differingIn: [here, there]) == "OpenBLAS core Zen")
        #expect(
            KernelSet.remedies([(here, .haswell), (there, .skylakeX)])
                == ["mpirun -x OPENBLAS_CORETYPE=Haswell for all ranks on all nodes"])
        there.version = "OpenBLAS 0.3.29"
        #expect(there.description(differingIn: [here, there]) == "OpenBLAS 0.3.29 core SkylakeX")
        #expect(KernelSet.remedies([(here, .haswell), (there, .skylakeX)]).first == KernelSet.sameVersion)
        there = here
        (there.version, there.form) = ("OpenBLAS 0.3.29", "x86-64-v4")
        #expect(there.description(differingIn: [here, there]) == "OpenBLAS 0.3.29, own kernels x86-64-v4")
        #expect(
            KernelSet.remedies([(here, nil), (there, nil)]) == [KernelSet.sameVersion, KernelSet.sameForm])
    }
}
