import Glibc
import Tensors
import Training
import WeightFiles

extension FuzzedParser {
    private static let (slots, floats, pageBytes, entryBytes) = (3, 8, 4096, 128)
    private static let keys: [[UInt8]] = (0..<slots).map { slot in [UInt8](repeating: UInt8(slot + 1), count: 32) }

    /// The stored anchor embeddings: the 72 significant bytes of the header, the slots, the places.
    static let anchorFile = FuzzedParser(
        "anchors", longestInput: 72 + slots * entryBytes + slots * 4 * floats,
        written: {
            let descriptor = open(Scratch.path + "anchors", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
            defer { close(descriptor) }
            try AnchorFile.format(descriptor, slots: slots, floats: floats, places: 2)
            let file = try AnchorFile(descriptor: descriptor, slots: slots, floats: floats, verifies: true)
            for slot in 0..<2 { _ = file.write(slot, keys[slot], Tensor(repeating: Float(slot), [floats])) }
            var bytes = [UInt8](repeating: 0, count: 5 * pageBytes)
            bytes.removeLast(bytes.count - max(0, pread(descriptor, &bytes, bytes.count, 0)))
            return [packed(bytes)]
        },
        change: { bytes, source in
            // Most of the file is digests: change the counters and the slots' states and places.
            let slot = 72 + source.generator.index(below: slots) * entryBytes
            let place: Int = source.one(of: [24, 32, 64, slot, slot + 8])
            guard bytes.count >= place + 8 else { return source.changeBytes(of: &bytes) }
            bytes.setLittle(source.number(), 8, at: place)
        }
    ) { bytes in
        let descriptor = open(Scratch.path + "anchors", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        defer { close(descriptor) }
        let whole = unpacked(bytes)
        try require(pwrite(descriptor, whole, whole.count, 0) == whole.count, "no file in memory")
        guard
            let file = try? AnchorFile(descriptor: descriptor, slots: slots, floats: floats, verifies: true)
        else { return false }
        file.recover()
        try require((0...slots).contains(file.count), "\(file.count) embeddings")
        // Only a writer of this store can have sealed an embedding.
        func checkFound(_ found: [Tensor?], _ when: String) throws {
            for (slot, tensor) in found.enumerated() {
                let isSound = tensor.map { $0.elements == [Float](repeating: Float(slot), count: floats) } ?? true
                try require(isSound, "slot \(slot) gives back what was not kept, \(when)")
            }
        }
        let found = (0..<slots).map { file.read($0, keys[$0]) }
        try checkFound(found, "at first")
        for slot in 0..<slots {
            let embedding = Tensor(repeating: Float(slot), [floats])
            switch file.write(slot, keys[slot], embedding) {
            case .kept: try require(file.read(slot, keys[slot])?.elements == embedding.elements, "slot \(slot) lost it")
            case .alreadyThere, .full, .failed: break
            }
        }
        try checkFound(found, "after others were written")
        var status = stat()
        try require(fstat(descriptor, &status) == 0 && status.st_size <= 10 * pageBytes, "a file that grows")
        return true
    }

    /// The bytes of a file without padding.
    private static func packed(_ file: [UInt8]) -> [UInt8] {
        let header = file[..<72] + file[pageBytes..<pageBytes + slots * entryBytes]
        let places = stride(from: 2 * pageBytes, to: file.count, by: pageBytes)
        return Array(header) + places.flatMap { file[$0..<$0 + 4 * floats] }
    }

    /// The file: as many places as the header states, if these are few.
    private static func unpacked(_ bytes: [UInt8]) -> [UInt8] {
        let places = min(max(bytes.little(8, at: 32) ?? 0, 0), slots)
        var file = [UInt8](repeating: 0, count: (2 + places) * pageBytes)
        let header = bytes.prefix(72)
        file.replaceSubrange(..<header.count, with: header)
        let entries = bytes.dropFirst(72).prefix(slots * entryBytes)
        file.replaceSubrange(pageBytes..<pageBytes + entries.count, with: entries)
        for place in 0..<places {
            let payload = bytes.dropFirst(72 + slots * entryBytes + place * 4 * floats).prefix(4 * floats)
            let start = (2 + place) * pageBytes
            file.replaceSubrange(start..<start + payload.count, with: payload)
        }
        return file
    }
}
