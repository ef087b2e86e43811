/// OpenBLAS's sets of kernels that are fast on the processors Kedge runs on, ascending by what they need of them.
///
/// Names and needs are those of OpenBLAS's `driver/others/dynamic.c` and of the options it compiles each set with. The
/// sets of older processors, such as `Sandybridge`, are no case of this: Kedge never asks for one.
public enum OpenBLASCore: String, CaseIterable, Codable, Comparable, Sendable {
    /// AVX2 and FMA. `Zen` and `Excavator` need no less, so they count as this one.
    case haswell = "Haswell"
    /// AVX-512.
    case skylakeX = "SkylakeX"
    /// AVX-512 with products of bfloat16.
    case cooperlake = "Cooperlake"
    /// AVX-512 with tiles.
    case sapphireRapids = "SapphireRapids"

    /// The name as `OPENBLAS_CORETYPE` takes it and `openblas_get_corename()` gives it.
    public var name: String { rawValue }

    /// What it needs of a processor beside the needs of the cores below, as Linux names it.
    private var instructionSets: Set<String> {
        switch self {
        case .haswell: ["avx2", "fma"]
        case .skylakeX: ["avx512f", "avx512dq", "avx512bw", "avx512vl"]
        case .cooperlake: ["avx512_bf16"]
        case .sapphireRapids: ["amx_tile", "amx_bf16"]
        }
    }

    /// The core whose needs a set of kernels has, by the name that OpenBLAS gives; nil for those of older processors.
    public init?(coreName: String) {
        let name = coreName.lowercased()
        if ["zen", "excavator"].contains(name) {
            self = .haswell
        } else if let core = Self.allCases.first(where: { $0.name.lowercased() == name }) {
            self = core
        } else {
            return nil
        }
    }

    /// The highest core that a processor with these instruction sets can run; nil if it lacks AVX2 or FMA.
    public static func highest(flags: Set<String>) -> OpenBLASCore? {
        allCases.prefix { $0.instructionSets.isSubset(of: flags) }.last
    }

    /// The core that ranks with different ones can all be given.
    ///
    /// It is the lowest of what their processors can run, and not above what any of them runs now, which their OpenBLAS
    /// is known to have.
    ///
    /// - Parameter ranks: The name of the core that each rank runs, and the highest one its processor can run; nil where
    ///   that is not known, and then what it runs counts.
    public static func common(_ ranks: [(running: String, possible: OpenBLASCore?)]) -> OpenBLASCore {
        let running = ranks.map { OpenBLASCore(coreName: $0.running) ?? .haswell }
        let possible = zip(ranks, running).map { $0.possible ?? $1 }
        return min(possible.min() ?? .haswell, running.max() ?? .haswell)
    }

    /// How a user gives this core to all ranks.
    public var remedy: String { "mpirun -x OPENBLAS_CORETYPE=\(name) for all ranks on all nodes" }

    /// Orders cores by what they need.
    public static func < (first: OpenBLASCore, second: OpenBLASCore) -> Bool { first.place < second.place }

    private var place: Int { Self.allCases.prefix { $0 != self }.count }
}
