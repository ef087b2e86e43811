import CZlib

/// A zip archive parsed into entries and reassembled, to change its contents; lenient where the reader is strict.
struct StoredArchive {
    struct Entry {
        var name: [UInt8]
        var content: [UInt8]
    }

    var entries: [Entry] = []

    /// The local entries from the start of a file, as far as they can be parsed.
    init(_ bytes: [UInt8]) {
        var place = 0
        while bytes.little(4, at: place) == 0x0403_4b50, let size = bytes.little(4, at: place + 22),
            let name = bytes.little(2, at: place + 26), let extra = bytes.little(2, at: place + 28)
        {
            let start = place + 30 + name + extra
            guard start + size <= bytes.count else { break }
            entries.append(
                Entry(name: Array(bytes[place + 30..<place + 30 + name]), content: Array(bytes[start..<start + size])))
            place = start + size
            // The data descriptor that a streaming writer puts after an entry.
            if bytes.little(4, at: place) == 0x0807_4b50 {
                place += bytes.little(4, at: place + 16) == 0x0403_4b50 ? 16 : 24
            }
        }
    }

    func build() -> [UInt8] {
        var (file, directory): ([UInt8], [UInt8]) = ([], [])
        for entry in entries {
            let start = file.count
            var fields: [UInt8] = []
            for (value, width) in [(20, 2), (0, 2), (0, 2), (0, 4), (checksum(entry.content), 4)] {
                fields.appendLittle(value, width)
            }
            for (value, width) in [(entry.content.count, 4), (entry.content.count, 4), (entry.name.count, 2), (0, 2)] {
                fields.appendLittle(value, width)
            }
            file.appendLittle(0x0403_4b50, 4)
            file += fields + entry.name + entry.content
            directory.appendLittle(0x0201_4b50, 4)
            directory.appendLittle(20, 2)
            directory += fields
            directory.appendLittle(0, 2)
            directory.appendLittle(0, 2)
            directory.appendLittle(0, 2)
            directory.appendLittle(0, 4)
            directory.appendLittle(start, 4)
            directory += entry.name
        }
        let start = file.count
        file += directory
        file.appendLittle(0x0605_4b50, 4)
        let end = [(0, 4), (entries.count, 2), (entries.count, 2), (directory.count, 4), (start, 4), (0, 2)]
        for (value, width) in end { file.appendLittle(value, width) }
        return file
    }

    /// The same file with correct checksums in its headers, where these can be parsed.
    static func sealed(_ bytes: [UInt8]) -> [UInt8] {
        var bytes = bytes
        guard bytes.count >= 22, let start = bytes.little(4, at: bytes.count - 6) else { return bytes }
        var place = start
        while bytes.little(4, at: place) == 0x0201_4b50, let size = bytes.little(4, at: place + 24),
            let name = bytes.little(2, at: place + 28), let extra = bytes.little(2, at: place + 30),
            let header = bytes.little(4, at: place + 42)
        {
            if let localName = bytes.little(2, at: header + 26), let localExtra = bytes.little(2, at: header + 28) {
                let content = header + 30 + localName + localExtra
                if content + size <= bytes.count {
                    let sum = checksum(Array(bytes[content..<content + size]))
                    bytes.setLittle(sum, 4, at: place + 16)
                    bytes.setLittle(sum, 4, at: header + 14)
                }
            }
            place += 46 + name + extra
        }
        return bytes
    }
}

/// CRC-32 as used by zip and PNG.
func checksum(_ bytes: [UInt8]) -> Int { Int(crc32_z(0, bytes, bytes.count)) }
