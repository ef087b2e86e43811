import Glibc

/// A possibly unlinked file that a process of this node has open: how another process opens it, and its identity,
/// because a process number may refer to another process there.
public struct OpenFile: Sendable, Equatable {
    private let path: String
    private let device: UInt64
    private let inode: UInt64

    /// The file behind a descriptor of this process; nil if it is not open.
    public init?(of descriptor: Int32) {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { return nil }
        path = "/proc/\(getpid())/fd/\(descriptor)"
        (device, inode) = (UInt64(status.st_dev), UInt64(status.st_ino))
    }

    /// A descriptor of the file for reading and writing, to be closed by the caller; nil if it cannot be opened.
    public func open() -> Int32? {
        let descriptor = Glibc.open(path, O_RDWR | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        var status = stat()
        if fstat(descriptor, &status) == 0, UInt64(status.st_dev) == device, UInt64(status.st_ino) == inode {
            return descriptor
        }
        close(descriptor)
        return nil
    }

    /// A one-line form for other processes.
    public var line: String { "\(path) \(device) \(inode)" }

    /// Parses a line.
    public init?(line: String) {
        let words = line.split(separator: " ")
        guard words.count == 3, let device = UInt64(words[1]), let inode = UInt64(words[2]) else { return nil }
        (path, self.device, self.inode) = (String(words[0]), device, inode)
    }
}
