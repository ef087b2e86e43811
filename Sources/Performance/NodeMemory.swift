import Foundation

/// Memory that this node can still give, as the system and the control group of the process tell.
public struct NodeMemory: Sendable, Equatable {
    /// Bytes.
    public let available: Int
    /// Where the figure is from, for messages.
    public let source: String

    /// Creates a figure.
    public init(available: Int, source: String) { (self.available, self.source) = (available, source) }

    /// What is there now, or nil where the system does not tell.
    ///
    /// - Parameters:
    ///   - memoryInfo: Linux's table of memory.
    ///   - controlGroup: Folder of the process's control group (version 2).
    public static func now(
        memoryInfo: String = "/proc/meminfo", controlGroup: String = "/sys/fs/cgroup"
    ) -> NodeMemory? {
        let candidates = [systemBytes(memoryInfo), groupBytes(controlGroup)].compactMap(\.self)
        return candidates.min { $0.available < $1.available }
    }

    private static func systemBytes(_ path: String) -> NodeMemory? {
        guard let text = try? String(contentsOfFile: path, encoding: .utf8),
            let line = text.split(separator: "\n").first(where: { $0.hasPrefix("MemAvailable:") }),
            let kibibytes = line.split(separator: " ").dropFirst().first.flatMap({ Int($0) })
        else { return nil }
        return NodeMemory(available: kibibytes * 1024, source: "MemAvailable")
    }

    private static func groupBytes(_ folder: String) -> NodeMemory? {
        func number(_ name: String) -> Int? {
            (try? String(contentsOfFile: folder + "/" + name, encoding: .utf8)).flatMap {
                Int($0.trimmingCharacters(in: .whitespacesAndNewlines))
            }
        }
        guard let limit = number("memory.max"), let used = number("memory.current") else { return nil }
        return NodeMemory(available: max(0, limit - used), source: "the control group's limit")
    }
}
