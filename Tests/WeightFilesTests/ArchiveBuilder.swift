import WeightFiles

/// Builds zip archives as `torch.save` does, and malformed ones.
struct ArchiveBuilder {
    struct Entry {
        var name: String
        var content: [UInt8]
        var flags: UInt16 = 0
        var method: UInt16 = 0
        /// The values in the records, where they differ from the truth.
        var checksum: UInt32?
        var claimedSize: UInt32?
        var claimedStoredSize: UInt32?
        var claimedHeader: UInt32?
        var localName: String?
        var extra: [UInt8] = []
    }

    var entries: [Entry] = []
    /// Bytes between the last entry and the directory.
    var gap: [UInt8] = []
    /// Writes ZIP64 end records and the narrow fields as sentinels.
    var isZIP64 = false
    var claimedCount: Int?
    var claimedDirectorySize: Int?
    var comment: [UInt8] = []
    var volume: UInt16 = 0

    func build() -> [UInt8] {
        var file: [UInt8] = []
        var directory: [UInt8] = []
        for entry in entries {
            let header = UInt32(file.count)
            let checksum = entry.checksum ?? crc32(entry.content)
            let size = entry.claimedSize ?? UInt32(entry.content.count)
            let stored = entry.claimedStoredSize ?? size
            let localName = Array((entry.localName ?? entry.name).utf8)
            let fields = bytes(checksum) + bytes(stored) + bytes(size)
            let version = bytes(UInt16(20)) + bytes(entry.flags) + bytes(entry.method) + bytes(UInt32(0))
            file += bytes(UInt32(0x0403_4b50)) + version + fields
            file += bytes(UInt16(localName.count)) + bytes(UInt16(0)) + localName + entry.content
            let name = Array(entry.name.utf8)
            directory += bytes(UInt32(0x0201_4b50)) + bytes(UInt16(20)) + version + fields
            directory += bytes(UInt16(name.count)) + bytes(UInt16(entry.extra.count)) + bytes(UInt16(0))
            directory += bytes(UInt16(0)) + bytes(UInt16(0)) + bytes(UInt32(0))
            directory += bytes(entry.claimedHeader ?? header) + name + entry.extra
        }
        file += gap
        let start = file.count
        file += directory
        let count = claimedCount ?? entries.count
        let size = claimedDirectorySize ?? directory.count
        if isZIP64 {
            let record = file.count
            file += bytes(UInt32(0x0606_4b50)) + bytes(UInt64(44)) + bytes(UInt16(45)) + bytes(UInt16(45))
            file += bytes(UInt32(0)) + bytes(UInt32(0)) + bytes(UInt64(count)) + bytes(UInt64(count))
            file += bytes(UInt64(size)) + bytes(UInt64(start))
            file += bytes(UInt32(0x0706_4b50)) + bytes(UInt32(0)) + bytes(UInt64(record)) + bytes(UInt32(1))
        }
        let narrowCount = isZIP64 ? UInt16.max : UInt16(count)
        file += bytes(UInt32(0x0605_4b50)) + bytes(volume) + bytes(volume) + bytes(narrowCount) + bytes(narrowCount)
        file += bytes(isZIP64 ? UInt32.max : UInt32(size)) + bytes(isZIP64 ? UInt32.max : UInt32(start))
        return file + bytes(UInt16(comment.count)) + comment
    }

    /// CRC-32 bit by bit, independent of the library that the reader uses.
    private func crc32(_ content: [UInt8]) -> UInt32 {
        var remainder = UInt32.max
        for byte in content {
            remainder ^= UInt32(byte)
            for _ in 0..<8 { remainder = (remainder >> 1) ^ (remainder & 1 == 1 ? 0xedb8_8320 : 0) }
        }
        return ~remainder
    }
}

/// Opcodes of a pickle, assembled by hand.
enum Pickle {
    static let header: [UInt8] = [0x80, 2]
    static let mark = op("(")
    static let stop = op(".")
    static let emptyTuple = op(")")
    static let emptyDictionary = op("}")
    static let setItem = op("s")
    static let reduce = op("R")

    static func op(_ letter: Unicode.Scalar) -> [UInt8] { [UInt8(ascii: letter)] }

    static func text(_ text: String) -> [UInt8] { op("X") + bytes(UInt32(text.utf8.count)) + Array(text.utf8) }

    static func integer(_ value: Int32) -> [UInt8] { op("J") + bytes(value) }

    static func long(_ value: Int) -> [UInt8] { [0x8a, 8] + bytes(value) }

    static func global(_ module: String, _ name: String) -> [UInt8] { op("c") + Array("\(module)\n\(name)\n".utf8) }

    static func tuple(_ items: [[UInt8]]) -> [UInt8] { mark + items.joined() + op("t") }

    static func storage(_ type: String, key: String, count: Int) -> [UInt8] {
        tuple([text("storage"), global("torch", type), text(key), text("cpu"), long(count)]) + op("Q")
    }

    static let orderedDictionary = global("collections", "OrderedDict") + emptyTuple + reduce

    /// A call of `_rebuild_tensor_v2`.
    static func tensor(
        _ storage: [UInt8], offset: Int = 0, shape: [Int] = [2], strides: [Int] = [1]
    ) -> [UInt8] {
        global("torch._utils", "_rebuild_tensor_v2")
            + tuple([
                storage, long(offset), tuple(shape.map(long)), tuple(strides.map(long)), [0x89], orderedDictionary,
            ]) + reduce
    }

    /// A whole pickle: a dictionary with one pair.
    static func dictionary(_ key: String = "a", _ value: [UInt8]) -> [UInt8] {
        header + emptyDictionary + text(key) + value + setItem + stop
    }
}
