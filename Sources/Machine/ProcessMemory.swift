import Foundation

/// Memory of this process as the system counts it.
public enum ProcessMemory {
    /// Largest resident set so far, in bytes, pages shared with other ranks included; 0 when the system does not tell.
    public static func peakResidentBytes() -> Int {
        var usage = rusage()
        guard getrusage(Int32(RUSAGE_SELF.rawValue), &usage) == 0 else { return 0 }
        return usage.ru_maxrss * 1024
    }
}
