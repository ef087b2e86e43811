import CMachine

/// The C library's memory allocator.
public enum Allocator {
    /// Makes all threads share one arena (`M_ARENA_MAX` of glibc), so that a buffer freed on one thread serves every other
    /// and the peak of memory does not depend on which thread took a job. Call it before any thread starts.
    public static func shareOneArena() { kedge_use_one_arena() }
}
