import Machine
import Testing

@Suite struct BLASEnvironmentTests {
    static let avx2: Set = ["avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "movbe"]
    static let avx512 = avx2.union(["avx512f", "avx512dq", "avx512bw", "avx512vl"])

    /// An OpenBLAS that does not know the processor falls back to its oldest kernels; the right name must be set.
    @Test func wrongKernelsAreReplaced() {
        func choice(_ core: String, _ flags: Set<String>, _ environment: [String: String] = [:]) -> String? {
            BLASEnvironment.coreTypeToSet(coreName: core, flags: flags, environment: environment)
        }
        #expect(choice("Prescott", Self.avx512) == "SkylakeX")
        #expect(choice("Haswell", Self.avx512) == "SkylakeX")
        #expect(choice("SkylakeX", Self.avx512) == nil)
        #expect(choice("Cooperlake", Self.avx512) == nil)
        #expect(choice("Prescott", Self.avx2) == "Haswell")
        #expect(choice("Zen", Self.avx2) == nil)
        #expect(choice("Prescott", ["sse2"]) == nil)
        #expect(choice("Prescott", Self.avx512, ["OPENBLAS_CORETYPE": "Haswell"]) == nil)
    }

    @Test func missingInstructionSetsAreNamed() {
        #expect(BLASEnvironment.missingInstructionSets(flags: Self.avx2) == nil)
        #expect(
            BLASEnvironment.missingInstructionSets(flags: Self.avx2.subtracting(["fma", "avx2"])) == ["avx2", "fma"])
        #expect(BLASEnvironment.missingInstructionSets(flags: []) == nil)
    }
}
