import Foundation

/// Memory of this process as counted by the system.
public enum ProcessMemory {
    /// Largest resident set so far, in bytes, including pages shared with other ranks; 0 if the system does not report
    /// it.
    public static func peakResidentBytes() -> Int {
        var usage = rusage()
        guard getrusage(Int32(RUSAGE_SELF.rawValue), &usage) == 0 else { return 0 }
        return usage.ru_maxrss * 1024
    }
}
