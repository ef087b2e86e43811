import CZlib

/// The entries of a zip archive whose entries are all stored, as written by `torch.save`; ZIP64 is supported.
///
/// Only the central directory is trusted, and only as far as the local headers agree with it.
/// Source: PKWARE APPNOTE.TXT 6.3.10, sections 4.3 and 4.5.3.
struct ZipArchive {
    /// Maximum entries of an archive.
    static let entryLimit = 10_000

    /// One stored file: the place of its bytes in the archive file.
    struct Entry {
        let name: String
        let range: Range<Int>
        fileprivate let headerStart: Int
        fileprivate let checksum: UInt32
        /// Offset of its directory record, for errors.
        fileprivate let directoryOffset: Int
    }

    /// The folder that holds all entries, without a slash.
    let root: String
    private let entries: [String: Entry]

    /// Reads and checks the directory, every local header and every checksum.
    init(_ file: FileBytes) throws(WeightFileError) {
        let directory = try Directory(locatedIn: file)
        var entries: [Entry] = []
        var position = directory.range.lowerBound
        for _ in 0..<directory.entryCount {
            entries.append(try Self.entry(at: &position, directory, file))
        }
        guard position == directory.range.upperBound else {
            throw Self.failure(.archiveDirectory, file, position, "the directory is longer than its entries")
        }
        root = try Self.commonRoot(of: entries, file)
        var end = 0
        for entry in entries.sorted(by: { $0.headerStart < $1.headerStart }) {
            guard entry.headerStart >= end else {
                throw Self.failure(.archiveOverlap, file, entry.headerStart, "\(entry.name) overlaps another entry")
            }
            end = entry.range.upperBound
        }
        for entry in entries {
            var checksum: UInt = 0
            try file.pieces(entry.range) { piece in
                checksum = crc32_z(checksum, piece.baseAddress?.assumingMemoryBound(to: UInt8.self), piece.count)
            }
            guard checksum == entry.checksum else {
                throw Self.failure(
                    .archiveChecksum, file, entry.range.lowerBound, "the bytes of \(entry.name) are damaged")
            }
        }
        self.entries = Dictionary(entries.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
    }

    /// The entry with a path below the root folder, or nil.
    func entry(_ path: String) -> Entry? { entries[root + "/" + path] }

    fileprivate static func failure(
        _ rule: WeightFileError.Rule, _ file: FileBytes, _ offset: Int, _ found: String, remedy: String? = nil
    ) -> WeightFileError {
        WeightFileError(rule, path: file.path, offset: offset, found: found, remedy: remedy)
    }

    /// Reads one record of the central directory and the local header it points to.
    private static func entry(
        at position: inout Int, _ directory: Directory, _ file: FileBytes
    ) throws(WeightFileError) -> Entry {
        let start = position
        guard start + 46 <= directory.range.upperBound, try file.number(UInt32.self, at: start) == 0x0201_4b50 else {
            throw failure(.archiveDirectory, file, start, "no directory record where one should be")
        }
        let flags = try file.number(UInt16.self, at: start + 8)
        let method = try file.number(UInt16.self, at: start + 10)
        let nameLength = Int(try file.number(UInt16.self, at: start + 28))
        let extraLength = Int(try file.number(UInt16.self, at: start + 30))
        let commentLength = Int(try file.number(UInt16.self, at: start + 32))
        position = start + 46 + nameLength + extraLength + commentLength
        guard position <= directory.range.upperBound else {
            throw failure(.archiveDirectory, file, start, "a directory record runs over the end of the directory")
        }
        let nameBytes = try file.bytes(start + 46..<start + 46 + nameLength)
        guard let name = String(validating: nameBytes, as: UTF8.self) else {
            throw failure(.archiveName, file, start, "a name that is not UTF-8")
        }
        // Bit 0: encrypted, bit 6: strongly so, bit 13: the directory itself is.
        guard flags & 0x2041 == 0 else { throw failure(.archiveEncryption, file, start, "\(name) is encrypted") }
        guard method == 0 else {
            throw failure(
                .archiveMethod, file, start, "\(name) is compressed by method \(method)",
                remedy: "unpack and save it again with torch.save")
        }
        var wide = try ZIP64Fields(
            file, start + 46 + nameLength..<start + 46 + nameLength + extraLength, record: start)
        let size = try wide.value(or: file.number(UInt32.self, at: start + 24))
        let storedSize = try wide.value(or: file.number(UInt32.self, at: start + 20))
        let header = try wide.value(or: file.number(UInt32.self, at: start + 42))
        guard size == storedSize else {
            throw failure(.archiveMethod, file, start, "\(name) has \(storedSize) bytes stored and \(size) unpacked")
        }
        // All offsets lie below the directory, so that the sums below cannot overflow.
        let limit = directory.range.lowerBound
        guard header <= limit - 30, size <= limit else {
            throw failure(.archiveOverlap, file, start, "\(name) lies outside the file")
        }
        guard try file.number(UInt32.self, at: header) == 0x0403_4b50,
            try file.number(UInt16.self, at: header + 8) == method,
            try file.number(UInt16.self, at: header + 6) & 0x2041 == 0,
            Int(try file.number(UInt16.self, at: header + 26)) == nameLength, header + 30 + nameLength <= limit,
            try file.bytes(header + 30..<header + 30 + nameLength).elementsEqual(nameBytes)
        else { throw failure(.archiveLocalHeader, file, header, "the local header of \(name) differs") }
        let begin = header + 30 + nameLength + Int(try file.number(UInt16.self, at: header + 28))
        guard begin + size <= limit else {
            throw failure(.archiveOverlap, file, start, "\(name) lies outside the file")
        }
        return Entry(
            name: name, range: begin..<begin + size, headerStart: header,
            checksum: try file.number(UInt32.self, at: start + 16), directoryOffset: start)
    }

    /// Checks all names and returns the folder they share.
    private static func commonRoot(of entries: [Entry], _ file: FileBytes) throws(WeightFileError) -> String {
        var seen: Set<String> = []
        var root: Substring?
        for entry in entries {
            let parts = entry.name.split(separator: "/", omittingEmptySubsequences: false)
            let isPlain = parts.allSatisfy { !$0.isEmpty && $0 != "." && $0 != ".." }
            guard isPlain, !entry.name.contains("\\"), !entry.name.utf8.contains(0), seen.insert(entry.name).inserted
            else {
                throw failure(
                    .archiveName, file, entry.directoryOffset,
                    "the name \(entry.name.debugDescription) is not, or twice")
            }
            guard parts.count > 1, root == nil || root == parts[0] else {
                throw failure(.archiveRoot, file, entry.directoryOffset, "\(entry.name) lies outside")
            }
            root = parts[0]
        }
        guard let root else { throw failure(.archiveDirectory, file, 0, "an empty archive") }
        return String(root)
    }
}

/// The location of the central directory, from the records at the end of the file.
private struct Directory {
    let range: Range<Int>
    let entryCount: Int

    init(locatedIn file: FileBytes) throws(WeightFileError) {
        func failure(_ rule: WeightFileError.Rule, _ offset: Int, _ found: String) -> WeightFileError {
            ZipArchive.failure(rule, file, offset, found, remedy: "the file is cut short or damaged: fetch it again")
        }
        // The end record has 22 bytes and a comment of at most 65535 that reaches to the end of the file.
        var found: Int?
        var candidate = file.count - 22
        while candidate >= max(0, file.count - 22 - 65_535) {
            if try file.number(UInt32.self, at: candidate) == 0x0605_4b50,
                candidate + 22 + Int(try file.number(UInt16.self, at: candidate + 20)) == file.count
            {
                found = candidate
                break
            }
            candidate -= 1
        }
        guard let end = found else { throw failure(.archiveDirectory, file.count, "the end record is missing") }
        guard try file.number(UInt16.self, at: end + 4) == 0, try file.number(UInt16.self, at: end + 6) == 0 else {
            throw failure(.archiveDirectory, end, "an archive in several volumes")
        }
        var count = UInt64(try file.number(UInt16.self, at: end + 10))
        var size = UInt64(try file.number(UInt32.self, at: end + 12))
        var start = UInt64(try file.number(UInt32.self, at: end + 16))
        var limit = end
        if end >= 20, try file.number(UInt32.self, at: end - 20) == 0x0706_4b50 {
            let record = try file.number(UInt64.self, at: end - 12)
            guard end >= 76, record <= UInt64(end - 76), try file.number(UInt32.self, at: Int(record)) == 0x0606_4b50
            else {
                throw failure(.archiveDirectory, end - 20, "the ZIP64 locator points to no record")
            }
            let wide = Int(record)
            func agree(_ narrow: inout UInt64, _ sentinel: UInt64, _ offset: Int) throws(WeightFileError) {
                let value = try file.number(UInt64.self, at: wide + offset)
                guard narrow == sentinel || narrow == value else {
                    throw failure(.archiveDirectory, wide, "the ZIP64 record contradicts the end record")
                }
                narrow = value
            }
            try agree(&count, 0xffff, 32)
            try agree(&size, 0xffff_ffff, 40)
            try agree(&start, 0xffff_ffff, 48)
            limit = wide
        }
        guard count <= UInt64(ZipArchive.entryLimit) else {
            throw failure(.archiveEntryCount, end, "\(count) entries")
        }
        guard size <= UInt64(limit), start == UInt64(limit) - size else {
            throw failure(.archiveDirectory, end, "the directory does not end where the end record begins")
        }
        range = Int(start)..<limit
        entryCount = Int(count)
    }
}

/// The ZIP64 extra field of a directory record: the values that the record itself shows as 0xffffffff, in order.
private struct ZIP64Fields {
    private let file: FileBytes
    private let record: Int
    private var values: Range<Int>

    init(_ file: FileBytes, _ extra: Range<Int>, record: Int) throws(WeightFileError) {
        self.file = file
        self.record = record
        values = extra.lowerBound..<extra.lowerBound
        var position = extra.lowerBound
        while position < extra.upperBound {
            guard position + 4 <= extra.upperBound else { throw malformed() }
            let length = Int(try file.number(UInt16.self, at: position + 2))
            guard position + 4 + length <= extra.upperBound else { throw malformed() }
            if try file.number(UInt16.self, at: position) == 1 { values = position + 4..<position + 4 + length }
            position += 4 + length
        }
    }

    mutating func value(or narrow: UInt32) throws(WeightFileError) -> Int {
        guard narrow == .max else { return Int(narrow) }
        guard values.count >= 8 else { throw malformed() }
        let wide = try file.number(UInt64.self, at: values.lowerBound)
        values = values.lowerBound + 8..<values.upperBound
        guard let value = Int(exactly: wide) else { throw malformed() }
        return value
    }

    private func malformed() -> WeightFileError {
        ZipArchive.failure(.archiveDirectory, file, record, "a malformed extra field")
    }
}
