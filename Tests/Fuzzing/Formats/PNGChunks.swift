import CZlib
import Tensors

/// A PNG file parsed into chunks.
struct PNGChunks {
    struct Chunk {
        var type: [UInt8]
        var data: [UInt8]
    }

    static let signature: [UInt8] = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]
    var chunks: [Chunk] = []

    init(_ bytes: [UInt8]) {
        var place = 8
        while let length = bytes.big(4, at: place), place + 12 + length <= bytes.count {
            chunks.append(
                Chunk(
                    type: Array(bytes[place + 4..<place + 8]), data: Array(bytes[place + 8..<place + 8 + length])))
            place += 12 + length
        }
    }

    /// The file with correct lengths and checksums.
    func build() -> [UInt8] {
        var file = Self.signature
        for chunk in chunks {
            file.appendBig(chunk.data.count, 4)
            file += chunk.type + chunk.data
            file.appendBig(checksum(chunk.type + chunk.data), 4)
        }
        return file
    }

    /// The same file with correct checksums, as far as its lengths can be followed.
    static func sealed(_ bytes: [UInt8]) -> [UInt8] {
        guard bytes.starts(with: signature) else { return bytes }
        let parts = PNGChunks(bytes)
        let length = parts.chunks.reduce(8) { $0 + 12 + $1.data.count }
        return parts.build() + bytes[min(length, bytes.count)...]
    }

    /// One change of a PNG: of its header, of the filtered rows before compression, or of its chunks.
    static func change(_ bytes: inout [UInt8], _ source: inout MutationSource) {
        var file = PNGChunks(bytes)
        guard !file.chunks.isEmpty else { return source.changeBytes(of: &bytes) }
        switch source.generator.index(below: 5) {
        case 0: file.changeHeader(&source)
        case 1, 2: file.changeRows(&source)
        case 3:
            let place = source.generator.index(below: file.chunks.count)
            source.changeBytes(of: &file.chunks[place].data)
        default:
            source.rearrange(&file.chunks)
            if source.generator.chance(0.3) { file.split(&source) }
        }
        bytes = file.build()
    }

    /// Size, depth, colour type, compression, filter, interlacing: mostly valid values.
    private mutating func changeHeader(_ source: inout MutationSource) {
        guard chunks[0].data.count == 13 else { return }
        switch source.generator.index(below: 5) {
        case 0:
            for index in 0..<8 { chunks[0].data[index] = index % 4 == 3 ? source.one(of: [0, 1, 2, 7, 40, 255]) : 0 }
        case 1: chunks[0].data[source.generator.index(below: 8)] = UInt8(truncatingIfNeeded: source.number())
        case 2: chunks[0].data[8] = source.one(of: [1, 2, 4, 8, 16, 3, 0])
        case 3: chunks[0].data[9] = source.one(of: [0, 2, 3, 4, 6, 1, 5])
        default: chunks[0].data[source.one(of: [10, 11, 12])] ^= 1
        }
    }

    /// Decompresses all IDAT chunks, changes the rows and compresses them into one chunk.
    private mutating func changeRows(_ source: inout MutationSource) {
        let idat = Array("IDAT".utf8)
        guard let first = chunks.firstIndex(where: { $0.type == idat }) else { return }
        let packed = chunks.filter { $0.type == idat }.flatMap(\.data)
        var rows = [UInt8](repeating: 0, count: 1 << 14)
        var length = uLongf(rows.count)
        uncompress(&rows, &length, packed, uLong(packed.count))
        rows.removeLast(rows.count - min(Int(length), rows.count))
        if source.generator.chance(0.3) {
            // More or fewer rows than the header states.
            let extra = [UInt8](repeating: UInt8(truncatingIfNeeded: source.number()), count: 64)
            if source.generator.chance(0.5) { rows += extra } else { rows.removeLast(min(64, rows.count)) }
        } else {
            source.changeBytes(of: &rows)
        }
        var result = [UInt8](repeating: 0, count: Int(compressBound(uLong(rows.count))))
        length = uLongf(result.count)
        compress2(&result, &length, rows, uLong(rows.count), 1)
        result.removeLast(result.count - Int(length))
        chunks[first].data = result
        chunks = chunks.enumerated().filter { $0.offset == first || $0.element.type != idat }.map(\.element)
    }

    /// Splits one chunk's data in two.
    private mutating func split(_ source: inout MutationSource) {
        guard !chunks.isEmpty else { return }
        let place = source.generator.index(below: chunks.count)
        var (head, tail) = (chunks[place], chunks[place])
        let cut = source.generator.index(below: head.data.count + 1)
        head.data = Array(head.data.prefix(cut))
        tail.data = Array(tail.data.dropFirst(cut))
        chunks.replaceSubrange(place...place, with: [head, tail])
    }
}
