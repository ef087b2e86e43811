import Foundation
import Runs
import Telemetry

/// Limits and folders of a rank.
package struct SystemFacts: Codable, Sendable, Equatable {
    /// Maximum number of open files and connections.
    package var openFiles = 0
    /// The choice in `/sys/kernel/mm/transparent_hugepage/enabled`; empty if there is none.
    package var hugePages = ""
    /// The folder for node-local files.
    package var temporaryFolder = ""
    /// Bytes free there; nil if it does not exist.
    package var temporaryFree: Int?
    /// The folder of the run; only on rank 0.
    package var runFolder: RunFolderFacts?

    /// Rank 0's facts about the location of the run's folder.
    package struct RunFolderFacts: Codable, Sendable, Equatable {
        package var path: String
        /// The folder, or its nearest existing parent.
        package var existing: String
        package var isWritable: Bool
        /// True if a run of that name exists.
        package var holdsRun: Bool
        /// Bytes free.
        package var free: Int?

        package init(path: String, existing: String, isWritable: Bool, holdsRun: Bool, free: Int?) {
            (self.path, self.existing, self.isWritable) = (path, existing, isWritable)
            (self.holdsRun, self.free) = (holdsRun, free)
        }
    }

    package init() {}

    static func now(temporaryFolder: String) -> SystemFacts {
        var facts = SystemFacts()
        var limit = rlimit()
        if getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 {
            facts.openFiles = Int(clamping: limit.rlim_cur)
        }
        let setting =
            (try? String(contentsOfFile: "/sys/kernel/mm/transparent_hugepage/enabled", encoding: .utf8)) ?? ""
        facts.hugePages = setting.split(separator: "[").last?.split(separator: "]").first.map(String.init) ?? ""
        facts.temporaryFolder = temporaryFolder
        facts.temporaryFree = free(temporaryFolder)
        return facts
    }

    /// Bytes that the file system of a path still accepts from an ordinary user; nil if the path does not exist.
    static func free(_ path: String) -> Int? {
        var status = statvfs()
        guard statvfs(path, &status) == 0 else { return nil }
        return Int(
            clamping: UInt64(status.f_bavail).multipliedReportingOverflow(by: UInt64(status.f_frsize)).partialValue)
    }
}

extension SystemFacts.RunFolderFacts {
    /// Examines a folder without creating anything.
    init(_ folder: RunFolder) {
        let path = folder.path
        var existing = path.isEmpty ? "." : path
        while access(existing, F_OK) != 0, existing != "/", existing != "." {
            existing = (existing as NSString).deletingLastPathComponent
            if existing.isEmpty { existing = "." }
        }
        self.init(
            path: path, existing: existing, isWritable: access(existing, W_OK) == 0,
            holdsRun: folder.holdsRun && !folder.isUnbegun, free: SystemFacts.free(existing))
    }
}

extension Check {
    /// Checks that every rank may open enough files and connections.
    static let openFiles = Check("open files") { ranks in
        // A connection to every other rank and its daemon's pipes, plus images, weights and libraries.
        let needed = 256 + 2 * ranks.count
        let complaints = ranks.filter { $0.system.openFiles < needed }.map { rank in
            Complaint(
                ranks: [rank], text: "\(rank.system.openFiles) open files allowed, \(needed) may be needed",
                remedy: "ulimit -n 4096 before mpirun, LimitNOFILE= in a service, docker run --ulimit nofile=4096")
        }
        guard complaints.isEmpty else { return Complaint.findings(complaints) }
        let least = ranks.map(\.system.openFiles).min() ?? 0
        return [.ok("\(least) allowed\(ranks.count > 1 ? " or more on every rank" : "")")]
    }

    /// Reports the kernel's setting for huge pages; every setting works.
    static let hugePages = Check("huge pages") { ranks in
        let settings = Majority(Node.all(of: ranks).map { $0.ranks[0] }, by: \.system.hugePages)
        let others = settings.odd.map {
            ", \($0.value.isEmpty ? "unknown" : $0.value) on \(list($0.ranks.map(\.host)))"
        }
        return [.ok((settings.value.isEmpty ? "unknown" : settings.value) + others.joined())]
    }

    /// Checks that there is space for temporary files.
    static let temporaryFolder = Check("temporary") { ranks in
        let least = 16 << 20
        let firsts = Node.all(of: ranks).map { $0.ranks[0] }
        let complaints = firsts.filter { $0.system.temporaryFree ?? 0 < least }.map { rank in
            Complaint(
                ranks: [rank],
                text: rank.system.temporaryFree.map { "\(size($0)) free in \(rank.system.temporaryFolder)" }
                    ?? "folder \(rank.system.temporaryFolder) does not exist",
                remedy: "free disk space, or set another folder in TMPDIR or node.temporaryFolder")
        }
        guard complaints.isEmpty else { return Complaint.findings(complaints) }
        guard let tightest = firsts.min(by: { $0.system.temporaryFree ?? 0 < $1.system.temporaryFree ?? 0 }) else {
            return []
        }
        return [
            .ok(
                "\(size(tightest.system.temporaryFree ?? 0)) free in \(tightest.system.temporaryFolder)"
                    + (firsts.count > 1 ? " or more on every node" : ""))
        ]
    }

    /// Checks that rank 0 can write to the run's folder.
    static let runFolder = Check("run folder") { ranks in
        guard let folder = ranks[0].system.runFolder else { return [] }
        guard folder.isWritable else {
            return [
                .fault(
                    .cannotWrite,
                    "\(named([ranks[0]])) cannot write \(folder.path): no write permission for \(folder.existing)",
                    remedy: "choose a writable folder with --set run.folder=PATH")
            ]
        }
        guard !folder.holdsRun else {
            return [
                .warning(
                    "\(folder.path) already holds a run, which kedge adapt will not replace",
                    remedy: "choose another run.name, or pass --overwrite to adapt")
            ]
        }
        return [.ok("\(folder.path) is writable\(folder.free.map { ", \(size($0)) free" } ?? "")")]
    }
}
