import COpenBLAS
import CMachine
import Foundation

/// The kernels OpenBLAS uses, and those it should use on this processor.
///
/// Debian's OpenBLAS 0.3.21 falls back to its oldest kernels on processors it does not know (a fifth of the speed). The
/// choice is made while the library loads, from `OPENBLAS_CORETYPE`, so a process must set the variable and re-execute
/// itself; the command line does that once, before MPI is initialised.
public enum BLASEnvironment {
    /// The core OpenBLAS chose, as in `SkylakeX`.
    public static var coreName: String { String(cString: openblas_get_corename()) }

    /// OpenBLAS's version and build options. Read once, because every call of OpenBLAS writes its answer to the same
    /// buffer, which another thread may be reading.
    public static let configuration = String(cString: openblas_get_config()).trimmingCharacters(in: .whitespaces)

    /// OpenBLAS's version, as in `OpenBLAS 0.3.21`.
    public static var version: String { configuration.split(separator: " ").prefix(2).joined(separator: " ") }

    /// Threads used by a call of OpenBLAS.
    public static var threads: Int { Int(openblas_get_num_threads()) }

    /// The threading library OpenBLAS was built with: `pthreads`, `OpenMP` or `none`.
    public static var threading: String {
        switch openblas_get_parallel() {
        case 0: "none"
        case 1: "pthreads"
        default: "OpenMP"
        }
    }

    /// Restricts OpenBLAS to the calling thread: Kedge's own pool is the only owner of threads.
    ///
    /// `CMachine` holds it to one while it is loaded; this is for a build of OpenBLAS that does not ask there.
    public static func useSingleThread() { openblas_set_num_threads(Int32(openblas_num_threads_env())) }

    /// The memory that OpenBLAS maps for each thread that calls it at the same time, and keeps.
    package static let bufferBytes = (128 << 20) + 4096

    /// Lets OpenBLAS map the buffers of so many threads now.
    ///
    /// It repeats a refused mapping for ever, so nothing may be refused once threads call it.
    ///
    /// Throws `ResourceShortage` if the process may not map them.
    public static func reserveBuffers(threads: Int) throws(ResourceShortage) {
        let needed = threads * bufferBytes
        guard canMap(needed + spareBytes) else {
            let limit = ProcessLimit.tightest()
            let limited = limit.map { ": \($0)" } ?? ": the system refuses it"
            throw ResourceShortage(
                "\(threads) compute thread\(threads == 1 ? "" : "s") need\(threads == 1 ? "s" : "") "
                    + "\(needed >> 20) MiB for OpenBLAS's buffers, and the rest of the program \(spareBytes >> 20) MiB"
                    + limited,
                remedy: (limit?.kind.remedy ?? "free memory, or allow the system to overcommit it")
                    + (threads > 1 ? ", or lower execution.threads" : ""))
        }
        // Entry points of OpenBLAS that its header does not declare; another BLAS may lack them.
        typealias Take = @convention(c) (Int32) -> UnsafeMutableRawPointer?
        typealias Give = @convention(c) (UnsafeMutableRawPointer?) -> Void
        guard let take = dlsym(nil, "blas_memory_alloc"), let give = dlsym(nil, "blas_memory_free") else { return }
        let (map, release) = (unsafeBitCast(take, to: Take.self), unsafeBitCast(give, to: Give.self))
        // Held at the same time, so that each is another one.
        for buffer in (0..<min(threads, 128)).map({ _ in map(0) }) { release(buffer) }
    }

    /// What a command maps beside the buffers before it can check its needs, with room for the check.
    private static let spareBytes = 32 << 20

    /// True if the process may map so many bytes more, by whatever limits there are.
    private static func canMap(_ bytes: Int) -> Bool {
        guard let start = mmap(nil, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
            start != MAP_FAILED
        else { return false }
        munmap(start, bytes)
        return true
    }

    /// The instruction sets of this processor, as named by Linux (`avx2`, `avx512f`); empty if unknown.
    public static func processorFlags(cpuInfo path: String = "/proc/cpuinfo") -> Set<String> {
        guard let text = try? String(contentsOfFile: path, encoding: .utf8),
            let line = text.split(separator: "\n").first(where: { $0.hasPrefix("flags") }),
            let colon = line.firstIndex(of: ":")
        else { return [] }
        return Set(line[line.index(after: colon)...].split(separator: " ").map(String.init))
    }

    /// The value `OPENBLAS_CORETYPE` should have, or nil if the library's own choice is right or the user set one.
    ///
    /// - Parameters:
    ///   - coreName: The core OpenBLAS chose.
    ///   - flags: The processor's instruction sets.
    ///   - environment: The process environment; a value set there is never overridden.
    public static func coreTypeToSet(
        coreName: String, flags: Set<String>, environment: [String: String]
    ) -> String? {
        guard environment["OPENBLAS_CORETYPE"] == nil else { return nil }
        guard let possible = OpenBLASCore.highest(flags: flags) else { return nil }
        // Among the AVX-512 cores the library's choice is kept: not every version has the newer ones.
        let better = min(possible, .skylakeX)
        let isRight = OpenBLASCore(coreName: coreName).map { better == .haswell ? $0 == better : $0 >= better } ?? false
        return isRight ? nil : better.name
    }

    /// The instruction sets this processor lacks to run Kedge's kernels as compiled; nil if it lacks none.
    public static func missingInstructionSets(flags: Set<String>) -> [String]? {
        guard !flags.isEmpty else { return nil }
        let missing = KernelForm.compiled.instructionSets.filter { !flags.contains($0) }
        return missing.isEmpty ? nil : missing
    }
}
