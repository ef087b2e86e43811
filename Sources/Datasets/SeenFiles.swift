import Glibc
import Imaging
import Synchronization

/// The files of a data set as they were when a run began, so that a later reading notices a change.
///
/// A file whose size, times and number are as before is taken for the same, which costs one system call a reading. Where
/// they differ its content decides: a copy of the same bytes, or a touch, is no change.
public final class SeenFiles: Sendable {
    /// What is known of a file.
    private struct Entry {
        var size: Int
        /// Device, number and times on this node; nil for a file that only another rank has read.
        var status: Status?
        var content: UInt64?
        /// Bits per sample of an image; 0 for other files, or unknown.
        var bits = 0
    }

    private struct Status: Equatable {
        let device: UInt
        let number: UInt
        let size: Int
        let modified: [Int]
        /// When anything about the file changed; differs also where the modification time was set back.
        let changed: [Int]

        init(_ status: stat) {
            (device, number, size) = (UInt(status.st_dev), UInt(status.st_ino), Int(status.st_size))
            modified = [Int(status.st_mtim.tv_sec), Int(status.st_mtim.tv_nsec)]
            changed = [Int(status.st_ctim.tv_sec), Int(status.st_ctim.tv_nsec)]
        }

        /// The same but for links and permissions, which change the third time alone.
        func hasSameContent(as other: Status) -> Bool {
            (device, number, size) == (other.device, other.number, other.size) && modified == other.modified
        }
    }

    private enum Phase {
        /// Nobody watches.
        case idle
        /// Files are noted as they are read.
        case noting
        /// Files are compared with what was noted.
        case comparing
    }

    private struct State {
        var phase = Phase.idle
        var entries: [String: Entry] = [:]
    }

    private let state = Mutex(State())

    /// Starts to note the files that are read.
    public func begin() { state.withLock { $0.phase = .noting } }

    /// Ends the noting; from now on a changed file is an error when it is read.
    public func compare() { state.withLock { $0.phase = .comparing } }

    /// Names, below the root, of the images of more than 8 bits per sample, in order.
    public var deepImages: [String] {
        state.withLock { $0.entries.filter { $0.value.bits > 8 }.keys }
            .sorted { $0.unicodeScalars.lexicographicallyPrecedes($1.unicodeScalars) }
    }

    /// Notes size and times of a file that is not read, if files are noted.
    func note(_ name: String, _ found: stat) {
        guard state.withLock({ $0.phase == .noting && $0.entries[name] == nil }) else { return }
        let status = Status(found)
        state.withLock { $0.entries[name] = Entry(size: status.size, status: status) }
    }

    /// Notes a file that was just read, or compares it with what was noted.
    ///
    /// - Throws: `DatasetError` of kind `changedFile`.
    func examine(_ name: String, _ file: OpenedFile, isImage: Bool) throws(DatasetError) {
        let (phase, known) = state.withLock { ($0.phase, $0.entries[name]) }
        guard phase != .idle else { return }
        var found = stat()
        // After the reading: what was written meanwhile shows.
        guard fstat(file.descriptor, &found) == 0 else { return }
        let status = Status(found)
        if let known, known.status == status, phase == .comparing || known.content != nil { return }
        let content = FileContent(file.descriptor, size: status.size, isImage: isImage)
        if let known, !Self.isSame(known, status, content.digest, isNoted: phase == .noting) {
            throw DatasetError(
                .changedFile, at: file.path, "was changed since the run began",
                remedy: "put the file back as it was and resume, or start another run")
        }
        state.withLock {
            $0.entries[name] = Entry(
                size: status.size, status: status, content: content.digest, bits: content.bits ?? known?.bits ?? 0)
        }
    }

    /// Whether a file may pass for the one that was noted.
    private static func isSame(_ known: Entry, _ status: Status, _ content: UInt64?, isNoted: Bool) -> Bool {
        guard known.size == status.size else { return false }
        if known.status == status { return true }
        if let old = known.content, let content { return old == content }
        // Without both contents: noted before it was ever read, not known by its times, or a large file.
        return isNoted || known.status.map { $0.hasSameContent(as: status) } ?? true
    }

    // MARK: Among ranks

    /// What this rank has read, for `merge` on the others.
    package var record: [UInt8] {
        let entries = state.withLock { $0.entries.filter { $0.value.content != nil || $0.value.bits > 0 } }
        var bytes: [UInt8] = []
        func append(_ number: UInt64) { withUnsafeBytes(of: number.littleEndian) { bytes += $0 } }
        for (name, entry) in entries.sorted(by: { $0.key < $1.key }) {
            append(UInt64(name.utf8.count))
            bytes += Array(name.utf8)
            append(UInt64(entry.size))
            append(UInt64(entry.bits))
            append(entry.content == nil ? 0 : 1)
            append(entry.content ?? 0)
        }
        return bytes
    }

    /// Adds what another rank has read; what this one knows of the same files by their times stays.
    package func merge(_ record: [UInt8]) {
        var rest = record[...]
        func number() -> Int? {
            guard rest.count >= 8 else { return nil }
            defer { rest = rest.dropFirst(8) }
            return Int(truncatingIfNeeded: rest.prefix(8).reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) })
        }
        state.withLock { state in
            while let count = number(), count <= rest.count {
                let name = String(decoding: rest.prefix(count), as: UTF8.self)
                rest = rest.dropFirst(count)
                guard let size = number(), let bits = number(), let isDigested = number(), let digest = number() else {
                    return
                }
                var entry = state.entries[name] ?? Entry(size: size)
                if entry.content == nil, isDigested == 1 { entry.content = UInt64(bitPattern: Int64(digest)) }
                if entry.bits == 0 { entry.bits = bits }
                state.entries[name] = entry
            }
        }
    }
}
