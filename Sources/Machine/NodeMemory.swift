import Foundation

/// Available memory of this node, according to the system and the control group of the process.
public struct NodeMemory: Codable, Sendable, Equatable {
    /// Available bytes.
    public let available: Int
    /// The source of the figure, for messages.
    public let source: String

    /// Creates a figure.
    public init(available: Int, source: String) { (self.available, self.source) = (available, source) }

    /// The memory available now, or nil if the system does not report it.
    ///
    /// The minimum of Linux's MemAvailable and, for the control group of this process and each group above it (version
    /// 2), its limit minus its usage; file pages count as free, since the system reclaims them on demand.
    ///
    /// - Parameter root: The folder that contains `/proc` and `/sys`.
    public static func now(root: String = "") -> NodeMemory? {
        ([system(root)] + groups(root)).compactMap(\.self).min { $0.available < $1.available }
    }

    private static func system(_ root: String) -> NodeMemory? {
        guard let text = try? String(contentsOfFile: root + "/proc/meminfo", encoding: .utf8),
            let line = text.split(separator: "\n").first(where: { $0.hasPrefix("MemAvailable:") }),
            let kibibytes = line.split(separator: " ").dropFirst().first.flatMap({ Int($0) })
        else { return nil }
        return NodeMemory(available: kibibytes * 1024, source: "the system")
    }

    private static func groups(_ root: String) -> [NodeMemory?] {
        let mount = root + "/sys/fs/cgroup"
        let own =
            (try? String(contentsOfFile: root + "/proc/self/cgroup", encoding: .utf8))?
            .split(separator: "\n").first { $0.hasPrefix("0::") }?.dropFirst(3) ?? "/"
        var names = own.split(separator: "/").map(String.init)
        var folders = [mount]
        while !names.isEmpty {
            folders.append(mount + "/" + names.joined(separator: "/"))
            names.removeLast()
        }
        return folders.map(group)
    }

    private static func group(_ folder: String) -> NodeMemory? {
        func text(_ name: String) -> String? { try? String(contentsOfFile: folder + "/" + name, encoding: .utf8) }
        func number(_ name: String) -> Int? {
            text(name).flatMap { Int($0.trimmingCharacters(in: .whitespacesAndNewlines)) }
        }
        guard let limit = number("memory.max"), let used = number("memory.current") else { return nil }
        let cached = (text("memory.stat") ?? "").split(separator: "\n").reduce(0) { sum, line in
            let words = line.split(separator: " ")
            let isFile = words.count == 2 && (words[0] == "inactive_file" || words[0] == "active_file")
            return isFile ? sum + (Int(words[1]) ?? 0) : sum
        }
        return NodeMemory(
            available: min(limit, max(0, limit - used + cached)), source: "the control group's limit")
    }
}
