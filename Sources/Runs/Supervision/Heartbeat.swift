import Foundation
import Glibc
import Synchronization

/// The state published by a rank that has not met the others for a while, without MPI: one line in a file of its own.
package struct Heartbeat: Equatable, Sendable {
    /// A counter; a change shows that the process is running.
    package var beat = 0
    /// The process ID, for a debugger.
    package var process = 0
    /// True if the rank waits in an operation.
    package var isWaiting = false
    /// The sequence number of the last operation begun.
    package var sequence = 0
    /// The current activity: the operation it waits in, or its work.
    package var doing = ""
    /// The current phase.
    package var phase = ""
    /// Seconds since it last met the others.
    package var quiet = 0.0
    /// Seconds since it last advanced; 0 while it computes and advances.
    package var idle = 0.0

    /// Creates an empty heartbeat.
    package init() {}

    /// The heartbeat as a line; its last word marks it as complete.
    package func line(nonce: String) -> String {
        let fields = [
            nonce, "\(beat)", "\(process)", isWaiting ? "waits" : "works", "\(sequence)", doing, phase,
            String(format: "%.1f", quiet), String(format: "%.1f", idle), "end",
        ]
        return fields.map { $0.filter { $0 != "\t" && !$0.isNewline } }.joined(separator: "\t") + "\n"
    }

    /// Parses a line; nil if it is incomplete or of another run.
    package init?(line: String, nonce: String) {
        let fields = line.split(separator: "\n", omittingEmptySubsequences: false)[0]
            .split(separator: "\t", omittingEmptySubsequences: false)
        guard fields.count == 10, fields[0] == nonce, fields[9] == "end", let beat = Int(fields[1]),
            let process = Int(fields[2]), let sequence = Int(fields[4]), let quiet = Double(fields[7]),
            let idle = Double(fields[8])
        else { return nil }
        (self.beat, self.process, self.sequence, self.quiet, self.idle) = (beat, process, sequence, quiet, idle)
        isWaiting = fields[3] == "waits"
        (doing, phase) = (String(fields[5]), String(fields[6]))
    }
}

/// What became of a heartbeat.
package enum HeartbeatPosting: Equatable, Sendable {
    case published
    /// The place cannot be written.
    case failed
    /// Another rank has removed this rank's previous heartbeat, because it ends the run; nothing is written.
    case cleared
}

/// Where ranks publish heartbeats for each other.
package protocol HeartbeatBoard {
    /// Publishes this rank's heartbeat.
    func post(_ heartbeat: Heartbeat) -> HeartbeatPosting
    /// The latest heartbeat of a rank; nil if there is none.
    func heartbeat(of rank: Int) -> Heartbeat?
    /// Removes this rank's heartbeat.
    func withdraw()
}

/// Heartbeats as files `rank-0003` in a folder that all ranks reach: `watch` in the run's folder.
///
/// A file is written in place: readers reopen it each time, which makes a network file system fetch the newest
/// contents. The nonce distinguishes files of this start from those of a killed one; no time stamps are compared.
final class HeartbeatFolder: HeartbeatBoard, Sendable {
    private let folder: String
    private let rank: Int
    private let nonce: String
    /// True from a heartbeat until it is withdrawn.
    private let isPosted = Atomic(false)
    private static let largestLine = 1024

    init(_ folder: String, rank: Int, nonce: String) {
        (self.folder, self.rank, self.nonce) = (folder, rank, nonce)
    }

    private func path(_ rank: Int) -> String {
        let digits = String(rank)
        return folder + "/rank-" + String(repeating: "0", count: max(0, 4 - digits.count)) + digits
    }

    func post(_ heartbeat: Heartbeat) -> HeartbeatPosting {
        let flags = O_WRONLY | O_CLOEXEC | O_NOFOLLOW
        let isFirst = !isPosted.load(ordering: .relaxed)
        var descriptor = open(path(rank), isFirst ? flags | O_CREAT : flags, 0o644)
        if descriptor < 0, errno == ENOENT {
            guard isFirst else {
                isPosted.store(false, ordering: .relaxed)
                return .cleared
            }
            try? FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            descriptor = open(path(rank), flags | O_CREAT, 0o644)
        }
        guard descriptor >= 0 else { return .failed }
        let bytes = Array(heartbeat.line(nonce: nonce).utf8.prefix(Self.largestLine))
        let isWhole = pwrite(descriptor, bytes, bytes.count, 0) == bytes.count
        isPosted.store(true, ordering: .relaxed)
        return close(descriptor) == 0 && isWhole ? .published : .failed
    }

    func heartbeat(of rank: Int) -> Heartbeat? {
        let descriptor = open(path(rank), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: Self.largestLine)
        let count = read(descriptor, &bytes, bytes.count)
        guard count > 0 else { return nil }
        return Heartbeat(line: String(decoding: bytes[..<count], as: UTF8.self), nonce: nonce)
    }

    func withdraw() {
        unlink(path(rank))
        isPosted.store(false, ordering: .relaxed)
        // Succeeds for the last rank that leaves.
        rmdir(folder)
    }

    /// Removes the heartbeats of all ranks: leftovers of a killed start, or those of ranks that are about to be ended.
    func clear() {
        // Moved away first, so that a rank that is writing its heartbeat does not keep the folder.
        let leaving = folder + "-over"
        let place = rename(folder, leaving) == 0 ? leaving : folder
        let names = ((try? FileManager.default.contentsOfDirectory(atPath: place)) ?? []).sorted()
        for name in names where name.hasPrefix("rank-") { unlink(place + "/" + name) }
        rmdir(place)
    }
}
