/// OpenBLAS's kernel sets that are fast on the processors Kedge runs on, ascending by required instruction sets.
///
/// Names and requirements are those of OpenBLAS's `driver/others/dynamic.c` and of the options it compiles each set
/// with. The sets of older processors, such as `Sandybridge`, have no case: Kedge never requests one.
public enum OpenBLASCore: String, CaseIterable, Codable, Comparable, Sendable {
    /// AVX2 and FMA. `Zen` and `Excavator` require the same and count as this one.
    case haswell = "Haswell"
    /// AVX-512.
    case skylakeX = "SkylakeX"
    /// AVX-512 with bfloat16 products.
    case cooperlake = "Cooperlake"
    /// AVX-512 with tiles (AMX).
    case sapphireRapids = "SapphireRapids"

    /// The name in `OPENBLAS_CORETYPE` and in the result of `openblas_get_corename()`.
    public var name: String { rawValue }

    /// The instruction sets it requires beyond those of the cores below, as Linux names them.
    private var instructionSets: Set<String> {
        switch self {
        case .haswell: ["avx2", "fma"]
        case .skylakeX: ["avx512f", "avx512dq", "avx512bw", "avx512vl"]
        case .cooperlake: ["avx512_bf16"]
        case .sapphireRapids: ["amx_tile", "amx_bf16"]
        }
    }

    /// The core with the same requirements as a kernel set, by OpenBLAS's name; nil for those of older processors.
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

    /// A core that all ranks can use.
    ///
    /// It is the lowest of those their processors support, but not above every core running now, because only those are
    /// known to exist in their OpenBLAS.
    ///
    /// - Parameter ranks: The name of each rank's running core, and the highest core its processor supports; if that is
    ///   nil (unknown), the running core counts.
    public static func common(_ ranks: [(running: String, possible: OpenBLASCore?)]) -> OpenBLASCore {
        let running = ranks.map { OpenBLASCore(coreName: $0.running) ?? .haswell }
        let possible = zip(ranks, running).map { $0.possible ?? $1 }
        return min(possible.min() ?? .haswell, running.max() ?? .haswell)
    }

    /// The remedy that selects this core on all ranks.
    public var remedy: String { "mpirun -x OPENBLAS_CORETYPE=\(name) for all ranks on all nodes" }

    /// Orders cores by their requirements.
    public static func < (first: OpenBLASCore, second: OpenBLASCore) -> Bool { first.place < second.place }

    private var place: Int { Self.allCases.prefix { $0 != self }.count }
}
