import Glibc
import Synchronization

/// A resource that the system denies to this process, with its limit and the remedy.
public struct ResourceShortage: Error, Sendable, Equatable, CustomStringConvertible {
    /// What is lacking, how much of it is needed, and the limit.
    public let problem: String
    /// The remedy.
    public let remedy: String

    /// Creates a shortage.
    public init(_ problem: String, remedy: String) { (self.problem, self.remedy) = (problem, remedy) }

    /// The problem and the remedy, in one line.
    public var description: String { "\(problem); \(remedy)" }
}

/// The end of a process whose memory is exhausted in the middle of a computation, where no error can be thrown.
public enum MemoryExhaustion {
    private static let handler = Mutex<(@Sendable (ResourceShortage) -> Never)?>(nil)

    /// Installs the program's way to end with a message; without one the process traps.
    public static func onExhaustion(_ end: @escaping @Sendable (ResourceShortage) -> Never) {
        handler.withLock { $0 = end }
    }

    /// Ends the process, because an allocation of so many bytes failed.
    public static func end(bytes: Int) -> Never {
        let shortage = shortage(bytes: bytes)
        if let end = handler.withLock({ $0 }) { end(shortage) }
        // The message of a failed precondition is not printed in release builds.
        let line = "kedge: error: \(shortage)\n"
        _ = line.withCString { write(2, $0, strlen($0)) }
        preconditionFailure(line)
    }

    private static func shortage(bytes: Int) -> ResourceShortage {
        let problem = "\(max(1, bytes >> 20)) MiB of memory cannot be allocated"
        guard let limit = ProcessLimit.tightest(), limit.free < bytes + 64 << 20 else {
            return ResourceShortage(problem, remedy: "see kedge plan for what a run needs")
        }
        return ResourceShortage(
            "\(problem): \(limit)", remedy: "\(limit.kind.remedy); see kedge plan for what a run needs")
    }
}
