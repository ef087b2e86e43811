import Foundation
import Tensors
import Testing
import WeightFiles

/// One archive per rule of the zip reader, each broken in one place.
@Suite struct HostileArchiveTests {
    private let pickle = Pickle.dictionary("a", Pickle.tensor(Pickle.storage("FloatStorage", key: "0", count: 2)))

    /// A sound archive of one tensor, corrupted by `change`.
    private func archive(_ change: (inout ArchiveBuilder) -> Void = { _ in }) -> [UInt8] {
        var builder = ArchiveBuilder(entries: [
            .init(name: "x/data.pkl", content: pickle), .init(name: "x/byteorder", content: Array("little".utf8)),
            .init(name: "x/data/0", content: [UInt8](repeating: 0, count: 8)),
        ])
        change(&builder)
        return builder.build()
    }

    private func refuse(
        _ rule: WeightFileError.Rule, _ label: String, sourceLocation: SourceLocation = #_sourceLocation,
        _ change: (inout ArchiveBuilder) -> Void
    ) {
        expectRefusal(rule, label, sourceLocation: sourceLocation) {
            _ = try PyTorchFile.read(bytes: archive(change), label: "hostile")
        }
    }

    @Test func theSoundArchiveThatTheOthersAreMadeFrom() throws {
        #expect(try PyTorchFile.read(bytes: archive()).tensor("a").elements == [0, 0])
    }

    @Test func directory() throws {
        expectRefusal(.archiveDirectory, "empty") { _ = try PyTorchFile.read(bytes: []) }
        expectRefusal(.archiveDirectory, "empty archive") { _ = try PyTorchFile.read(bytes: ArchiveBuilder().build()) }
        let sound = archive()
        for count in 0..<sound.count {
            expectRefusal(.archiveDirectory, "cut to \(count)") {
                _ = try PyTorchFile.read(bytes: Array(sound[..<count]))
            }
        }
        expectRefusal(.archiveDirectory, "trailing byte") { _ = try PyTorchFile.read(bytes: sound + [0]) }
        expectRefusal(.archiveDirectory, "leading byte") { _ = try PyTorchFile.read(bytes: [0] + sound) }
        refuse(.archiveDirectory, "fewer entries") { $0.claimedCount = 2 }
        refuse(.archiveDirectory, "more entries") { $0.claimedCount = 4 }
        refuse(.archiveDirectory, "size") { $0.claimedDirectorySize = 10 }
        refuse(.archiveDirectory, "size over the file") { $0.claimedDirectorySize = 100_000 }
        refuse(.archiveDirectory, "volumes") { $0.volume = 1 }
        refuse(.archiveDirectory, "extra field over the end") { $0.entries[0].extra = [1, 0, 9, 0] }
        refuse(.archiveDirectory, "half an extra field") { $0.entries[0].extra = [1, 0, 0] }
        refuse(.archiveDirectory, "missing ZIP64 size") { $0.entries[0].claimedSize = .max }
        refuse(.archiveDirectory, "negative ZIP64 size") {
            $0.entries[0].claimedSize = .max
            $0.entries[0].extra = bytes(UInt16(1)) + bytes(UInt16(16)) + bytes(UInt64.max) + bytes(UInt64.max)
        }
    }

    @Test func zip64Records() {
        refuse(.archiveEntryCount, "ZIP64 count") {
            $0.isZIP64 = true
            $0.claimedCount = 1 << 40
        }
        refuse(.archiveDirectory, "ZIP64 size") {
            $0.isZIP64 = true
            $0.claimedDirectorySize = .max
        }
        var lost = archive { $0.isZIP64 = true }
        lost.replaceSubrange(lost.count - 34..<lost.count - 26, with: bytes(UInt64.max - 3))
        expectRefusal(.archiveDirectory, "ZIP64 locator") { _ = try PyTorchFile.read(bytes: lost) }
        var contradiction = archive { $0.isZIP64 = true }
        contradiction.replaceSubrange(contradiction.count - 12..<contradiction.count - 10, with: bytes(UInt16(2)))
        expectRefusal(.archiveDirectory, "ZIP64 contradiction") { _ = try PyTorchFile.read(bytes: contradiction) }
    }

    @Test func entryCount() {
        refuse(.archiveEntryCount, "10001 entries") { builder in
            builder.entries = (0...10_000).map { .init(name: "x/\($0)", content: []) }
        }
    }

    @Test func methodAndEncryption() {
        refuse(.archiveMethod, "deflated") { $0.entries[2].method = 8 }
        refuse(.archiveMethod, "sizes differ") { $0.entries[2].claimedStoredSize = 4 }
        refuse(.archiveMethod, "bomb: few bytes claim many") {
            $0.entries[2].claimedSize = 0x7fff_ffff
            $0.entries[2].claimedStoredSize = 8
        }
        for flag: UInt16 in [0x0001, 0x0040, 0x2000] {
            refuse(.archiveEncryption, "flag \(flag)") { $0.entries[2].flags = flag }
        }
    }

    @Test func names() {
        for name in ["x/../data/0", "../x", "/x/data/0", "x//0", "x/./0", "x/data/", "x\\0", "x/a\u{0}b", ""] {
            refuse(.archiveName, name) { $0.entries[2].name = name }
        }
        refuse(.archiveName, "twice") { $0.entries.append($0.entries[2]) }
        refuse(.archiveRoot, "another root") { $0.entries[2].name = "y/data/0" }
        refuse(.archiveRoot, "no root") { $0.entries[2].name = "data" }
        var damaged = archive()
        if let position = damaged.lastIndex(of: UInt8(ascii: "0")) { damaged[position] = 0xff }
        expectRefusal(.archiveName, "not UTF-8") { _ = try PyTorchFile.read(bytes: damaged) }
    }

    @Test func places() {
        refuse(.archiveOverlap, "size over the file") { $0.entries[2].claimedSize = 100_000 }
        refuse(.archiveOverlap, "header over the file") { $0.entries[2].claimedHeader = 100_000 }
        // Both records point to one header, as in small zip bombs.
        refuse(.archiveLocalHeader, "header of another entry") { $0.entries[2].claimedHeader = 0 }
        refuse(.archiveLocalHeader, "another local name") { $0.entries[2].localName = "x/data/1" }
        refuse(.archiveLocalHeader, "no header there") { $0.entries[2].claimedHeader = 1 }
        refuse(.archiveOverlap, "an entry inside another") { builder in
            // The content of the first entry holds the local header and content of the second.
            let inner = ArchiveBuilder(entries: [.init(name: "x/data/1", content: [1, 2, 3, 4])]).build()
            let size = 30 + 8 + 4
            builder.entries[0].content += inner[..<size]
            builder.entries.append(
                .init(
                    name: "x/data/1", content: [1, 2, 3, 4], claimedHeader: UInt32(30 + 10 + pickle.count)))
        }
    }

    @Test func checksums() {
        for index in 0..<3 {
            refuse(.archiveChecksum, "entry \(index)") { $0.entries[index].checksum = 1 }
        }
    }

    @Test func content() {
        refuse(.byteOrder, "big") { $0.entries[1].content = Array("big".utf8) }
        refuse(.stateDictionary, "no pickle") { $0.entries[0].name = "x/other.pkl" }
        refuse(.storageSize, "storage missing") { $0.entries[2].name = "x/data/1" }
        refuse(.storageSize, "storage short") { $0.entries[2].content.removeLast() }
        refuse(.storageSize, "storage long") { $0.entries[2].content.append(0) }
        refuse(.pickleSize, "17 MiB") { $0.entries[0].content = [UInt8](repeating: 0x29, count: 17 << 20) }
    }

    /// Every single-byte change of a file written by torch is rejected or harmless, and never ends the process.
    @Test func damageIsNeverFatal() throws {
        let sound = [UInt8](try Data(contentsOf: URL(fileURLWithPath: fixture("tiny.pth"))))
        for position in sound.indices {
            var damaged = sound
            damaged[position] ^= 0xff
            if let table = try? PyTorchFile.read(bytes: damaged) {
                for entry in table.entries where entry.shape.count <= 4 { _ = try table.tensor(entry.name) }
            }
        }
    }
}
