import COpenBLAS
import Foundation

/// Which kernels OpenBLAS runs, and which it should run on this processor.
///
/// Debian's OpenBLAS 0.3.21 falls back to its oldest kernels on processors it does not know (a fifth of the speed). The
/// choice is made while the library loads, from `OPENBLAS_CORETYPE`, so a process must set the variable and start itself
/// again; the command line does that once, before MPI is initialised.
public enum BLASEnvironment {
    /// The core OpenBLAS chose, as in `SkylakeX`.
    public static var coreName: String { String(cString: openblas_get_corename()) }

    /// OpenBLAS's version and build options. Asked for once, because OpenBLAS writes its answer into the same place each
    /// time, which another thread may be reading.
    public static let configuration = String(cString: openblas_get_config()).trimmingCharacters(in: .whitespaces)

    /// OpenBLAS's version, as in `OpenBLAS 0.3.21`.
    public static var version: String { configuration.split(separator: " ").prefix(2).joined(separator: " ") }

    /// Threads a call of OpenBLAS takes.
    public static var threads: Int { Int(openblas_get_num_threads()) }

    /// What OpenBLAS was built to make threads with: `pthreads`, `OpenMP` or `none`.
    public static var threading: String {
        switch openblas_get_parallel() {
        case 0: "none"
        case 1: "pthreads"
        default: "OpenMP"
        }
    }

    /// Holds OpenBLAS to the calling thread: Kedge's own pool is the only owner of threads.
    public static func useSingleThread() { openblas_set_num_threads(1) }

    /// The instruction sets of this processor, as Linux names them (`avx2`, `avx512f`); empty when unknown.
    public static func processorFlags(cpuInfo path: String = "/proc/cpuinfo") -> Set<String> {
        guard let text = try? String(contentsOfFile: path, encoding: .utf8),
            let line = text.split(separator: "\n").first(where: { $0.hasPrefix("flags") }),
            let colon = line.firstIndex(of: ":")
        else { return [] }
        return Set(line[line.index(after: colon)...].split(separator: " ").map(String.init))
    }

    /// The value `OPENBLAS_CORETYPE` should have, or nil when the library's own choice is right or the user made one.
    ///
    /// - Parameters:
    ///   - coreName: What OpenBLAS chose.
    ///   - flags: The processor's instruction sets.
    ///   - environment: The process environment; a value set there is never overruled.
    public static func coreTypeToSet(
        coreName: String, flags: Set<String>, environment: [String: String]
    ) -> String? {
        guard environment["OPENBLAS_CORETYPE"] == nil else { return nil }
        guard let possible = OpenBLASCore.highest(flags: flags) else { return nil }
        // Of the cores for AVX-512 the library's choice stands: not every version has the higher ones.
        let better = min(possible, .skylakeX)
        let isRight = OpenBLASCore(coreName: coreName).map { better == .haswell ? $0 == better : $0 >= better } ?? false
        return isRight ? nil : better.name
    }

    /// Nil when this processor can run Kedge's kernels, in the form they are compiled for, else what it lacks.
    public static func missingInstructionSets(flags: Set<String>) -> [String]? {
        guard !flags.isEmpty else { return nil }
        let missing = KernelForm.compiled.instructionSets.filter { !flags.contains($0) }
        return missing.isEmpty ? nil : missing
    }
}
