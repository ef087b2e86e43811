/// The instruction sets for which Kedge's own kernels are compiled.
public enum KernelForm: String, Codable, CaseIterable, Sendable {
    /// AVX2, FMA and BMI2.
    case x86_64_v3 = "x86-64-v3"

    /// The form of this program's kernels, set for all of them by `-march=` in Package.swift.
    public static let compiled = KernelForm.x86_64_v3

    /// The required instruction sets, as Linux names them.
    var instructionSets: [String] {
        switch self {
        case .x86_64_v3: ["avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "movbe"]
        }
    }
}

/// The kernels a process computes with: together with program and input, they determine the bits of its results.
public struct KernelSet: Codable, Hashable, Sendable {
    /// The core whose kernels OpenBLAS runs, as in `SkylakeX`.
    public var core: String
    /// OpenBLAS's version, as in `OpenBLAS 0.3.21`.
    public var version: String
    /// The instruction sets of Kedge's own kernels, as in `x86-64-v3`; text, because a checkpoint may name a newer
    /// form.
    public var form: String

    /// Creates a set from its parts.
    public init(core: String, version: String, form: String = KernelForm.compiled.rawValue) {
        (self.core, self.version, self.form) = (core, version, form)
    }

    /// The set loaded in this process.
    public static var loaded: KernelSet { KernelSet(core: BLASEnvironment.coreName, version: BLASEnvironment.version) }

    /// All parts, as in `OpenBLAS 0.3.21 core Zen, own kernels x86-64-v3`.
    public var description: String { "\(version) core \(core), own kernels \(form)" }

    /// Only the parts in which several sets differ; empty if they are equal.
    public func description(differingIn sets: [KernelSet]) -> String {
        func differ(_ part: (KernelSet) -> String) -> Bool { sets.contains { part($0) != part(self) } }
        let isCoreOther = differ(\.core)
        var parts: [String] = []
        if differ(\.version) {
            parts.append(version + (isCoreOther ? " core \(core)" : ""))
        } else if isCoreOther {
            parts.append("OpenBLAS core \(core)")
        }
        if differ(\.form) { parts.append("own kernels \(form)") }
        return parts.joined(separator: ", ")
    }

    /// The remedies that give ranks the same set; empty if they are equal.
    ///
    /// - Parameter ranks: Each rank's set, and the highest OpenBLAS core its processor can run, nil if unknown.
    public static func remedies(_ ranks: [(kernels: KernelSet, possible: OpenBLASCore?)]) -> [String] {
        func differ(_ part: (KernelSet) -> String) -> Bool { Set(ranks.map { part($0.kernels) }).count > 1 }
        var remedies: [String] = []
        if differ(\.version) { remedies.append(sameVersion) }
        if differ(\.core) {
            remedies.append(OpenBLASCore.common(ranks.map { ($0.kernels.core, $0.possible) }).remedy)
        }
        if differ(\.form) { remedies.append(sameForm) }
        return remedies
    }

    /// The remedy for different versions of OpenBLAS.
    public static let sameVersion = "install the same OpenBLAS on every node"
    /// The remedy for different forms of Kedge's own kernels.
    public static let sameForm = "run the same build of Kedge on every node"
}
