import Foundation

/// The cores on which the scheduler lets a process run.
public struct CoreAffinity: Codable, Equatable, Sendable {
    /// Numbers of the cores, ascending.
    public let cores: [Int]

    /// Creates an affinity from core numbers in any order.
    public init(cores: [Int]) { self.cores = cores.sorted() }

    /// Parses Linux's range format, as in `0-3,8`; nil for any other text.
    public init?(ranges text: String) {
        var cores: [Int] = []
        for part in text.split(separator: ",") {
            let ends = part.split(separator: "-").map { Int($0.trimmingCharacters(in: .whitespacesAndNewlines)) }
            guard let first = ends.first ?? nil, let last = ends.last ?? nil, ends.count <= 2, first <= last else {
                return nil
            }
            cores += first...last
        }
        guard !cores.isEmpty else { return nil }
        self.init(cores: cores)
    }

    /// The number of cores.
    public var count: Int { cores.count }

    /// The cores of this process, inherited from its parent.
    ///
    /// - Parameter root: The folder that contains `/proc`.
    public static func current(root: String = "") -> CoreAffinity {
        let key = "Cpus_allowed_list:"
        let line = (try? String(contentsOfFile: root + "/proc/self/status", encoding: .utf8))?
            .split(separator: "\n").first { $0.hasPrefix(key) }
        return line.flatMap { CoreAffinity(ranges: String($0.dropFirst(key.count))) }
            ?? CoreAffinity(cores: Array(0..<ProcessInfo.processInfo.activeProcessorCount))
    }

    /// The cores available to an unbound process on this node: those of its control group, else all.
    ///
    /// Launchers bind each rank's process but do not change its group, so the difference shows what binding withholds.
    ///
    /// - Parameter root: The folder that contains `/proc` and `/sys`.
    public static func unbound(root: String = "") -> CoreAffinity {
        for folder in ControlGroups(root: root).folders("cpuset") {
            let file = folder.isUnified ? "cpuset.cpus.effective" : "cpuset.effective_cpus"
            if let cores = read(folder.path + "/" + file) { return cores }
        }
        return read(root + "/sys/devices/system/cpu/online") ?? current(root: root)
    }

    private static func read(_ file: String) -> CoreAffinity? {
        (try? String(contentsOfFile: file, encoding: .utf8)).flatMap { CoreAffinity(ranges: $0) }
    }
}
