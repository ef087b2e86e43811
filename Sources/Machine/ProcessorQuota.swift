import Foundation

/// The processor time that a control group grants, as `docker --cpus` and Kubernetes limits set it.
///
/// It does not change which cores a process may use: threads beyond the quota run, and then all are stopped for the
/// rest of each period.
public struct ProcessorQuota: Codable, Equatable, Sendable {
    /// Processor time per time, in cores.
    public var cores: Double
    /// The folder of the group that sets it; processes of a node with the same one share the quota.
    public var group: String

    /// Creates a quota.
    public init(cores: Double, group: String) { (self.cores, self.group) = (cores, group) }

    /// The number of threads that can use it, rounded up.
    public var threads: Int { max(1, Int(cores.rounded(.up))) }

    /// The smallest quota of the groups of this process and of those above them; nil if there is none.
    ///
    /// - Parameter root: The folder that contains `/proc` and `/sys`.
    public static func now(root: String = "") -> ProcessorQuota? {
        ControlGroups(root: root).folders("cpu").compactMap { folder in
            (folder.isUnified ? unified(folder) : separate(folder)).map {
                ProcessorQuota(cores: $0, group: folder.path)
            }
        }.min { $0.cores < $1.cores }
    }

    /// `cpu.max`: quota and period in microseconds, or `max`.
    private static func unified(_ folder: ControlGroups.Folder) -> Double? {
        let words = (folder.text("cpu.max") ?? "").split(whereSeparator: \.isWhitespace)
        guard words.count == 2 else { return nil }
        return share(Int(words[0]), Int(words[1]))
    }

    /// `cpu.cfs_quota_us`: -1 for none.
    private static func separate(_ folder: ControlGroups.Folder) -> Double? {
        share(folder.number("cpu.cfs_quota_us"), folder.number("cpu.cfs_period_us"))
    }

    private static func share(_ quota: Int?, _ period: Int?) -> Double? {
        guard let quota, let period, quota > 0, period > 0 else { return nil }
        return Double(quota) / Double(period)
    }
}

extension CoreAffinity {
    /// The number of threads that a lone process can keep busy: its cores, or fewer by a quota of processor time.
    ///
    /// - Parameter root: The folder that contains `/proc` and `/sys`.
    public static func usableThreads(root: String = "") -> Int {
        max(1, min(current(root: root).count, ProcessorQuota.now(root: root)?.threads ?? .max))
    }
}
