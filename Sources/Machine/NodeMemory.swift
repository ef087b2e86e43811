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
    /// The minimum of Linux's MemAvailable and, for the control groups of this process and each group above them, the
    /// limit minus the usage; file pages count as free, since the system reclaims them on demand.
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
        ControlGroups(root: root).folders("memory").map { $0.isUnified ? unified($0) : separate($0) }
    }

    /// A group of version 2.
    private static func unified(_ folder: ControlGroups.Folder) -> NodeMemory? {
        guard let limit = folder.number("memory.max"), let used = folder.number("memory.current") else { return nil }
        let figures = figures(folder)
        let cached = (figures["inactive_file"] ?? 0) + (figures["active_file"] ?? 0)
        return NodeMemory(available: min(limit, max(0, limit - used + cached)), source: source)
    }

    /// A group of version 1, where a group without a limit states an enormous one.
    private static func separate(_ folder: ControlGroups.Folder) -> NodeMemory? {
        guard let own = folder.number("memory.limit_in_bytes"), let used = folder.number("memory.usage_in_bytes") else {
            return nil
        }
        let figures = figures(folder)
        // Also states limits of groups above that a container cannot see.
        let limit = min(own, figures["hierarchical_memory_limit"] ?? own)
        guard limit < 1 << 60 else { return nil }
        let cached = (figures["total_inactive_file"] ?? 0) + (figures["total_active_file"] ?? 0)
        return NodeMemory(available: min(limit, max(0, limit - used + cached)), source: source)
    }

    private static let source = "the control group's limit"

    private static func figures(_ folder: ControlGroups.Folder) -> [Substring: Int] {
        var figures: [Substring: Int] = [:]
        for line in (folder.text("memory.stat") ?? "").split(separator: "\n") {
            let words = line.split(separator: " ")
            if words.count == 2, let number = Int(words[1]) { figures[words[0]] = number }
        }
        return figures
    }
}
