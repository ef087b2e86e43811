import Foundation
import Glibc

/// A limit on the memory that one process may map, set by `ulimit` or a scheduler, and what this process has mapped.
///
/// Mapped memory is more than memory in use: libraries, reserved buffers and stacks count in full.
public struct ProcessLimit: Codable, Equatable, Sendable, CustomStringConvertible {
    /// What is limited.
    public enum Kind: String, Codable, Sendable {
        /// `RLIMIT_AS`: everything mapped.
        case addressSpace
        /// `RLIMIT_DATA`: private writable memory.
        case data

        /// The limit in words, with the commands that set it.
        public var title: String {
            switch self {
            case .addressSpace: "the address space of a process is limited (ulimit -v; h_vmem in Grid Engine)"
            case .data: "the data segment of a process is limited (ulimit -d)"
            }
        }

        /// What lifts the limit.
        public var remedy: String {
            switch self {
            case .addressSpace: "raise it: ulimit -v unlimited, or a larger h_vmem"
            case .data: "raise it: ulimit -d unlimited"
            }
        }
    }

    /// What is limited.
    public var kind: Kind
    /// The limit in bytes.
    public var limit: Int
    /// Bytes mapped so far.
    public var used: Int

    /// Creates a limit.
    public init(_ kind: Kind, limit: Int, used: Int) { (self.kind, self.limit, self.used) = (kind, limit, used) }

    /// Bytes that can still be mapped.
    public var free: Int { max(0, limit - used) }

    /// The limit with its figures, for messages.
    public var description: String { "\(kind.title) to \(limit >> 20) MiB, of which \(used >> 20) MiB are taken" }

    /// The limit of this process that leaves the least; nil if there is none.
    public static func tightest() -> ProcessLimit? {
        let status = try? String(contentsOfFile: "/proc/self/status", encoding: .utf8)
        return [
            limit(.addressSpace, RLIMIT_AS, used: bytes("VmSize:", in: status ?? "")),
            limit(.data, RLIMIT_DATA, used: bytes("VmData:", in: status ?? "")),
        ].compactMap(\.self).min { $0.free < $1.free }
    }

    /// A figure of `/proc/self/status` in bytes; 0 if it is missing.
    package static func bytes(_ key: String, in status: String) -> Int {
        let line = status.split(separator: "\n").first { $0.hasPrefix(key) }
        return (line?.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap { Int($0) } ?? 0) << 10
    }

    private static func limit(_ kind: Kind, _ resource: __rlimit_resource, used: Int) -> ProcessLimit? {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(resource.rawValue), &limit) == 0, limit.rlim_cur != rlim_t.max else {
            return nil
        }
        return ProcessLimit(kind, limit: Int(clamping: limit.rlim_cur), used: used)
    }
}
