import Foundation
import Testing
import TestSupport
import WeightFiles

/// One file per rule of the reader, each broken in one place.
@Suite struct HostileSafetensorsTests {
    private func file(_ header: String, data: Int = 0) -> [UInt8] { file(Array(header.utf8), data: data) }

    private func file(_ header: [UInt8], data: Int = 0) -> [UInt8] {
        bytes(UInt64(header.count)) + header + [UInt8](repeating: 0, count: data)
    }

    /// The fields of a tensor of U8.
    private func tensor(_ shape: String, _ offsets: String, type: String = "U8") -> String {
        #"{"dtype":"\#(type)","shape":\#(shape),"data_offsets":\#(offsets)}"#
    }

    private func refuse(
        _ rule: WeightFileError.Rule, _ label: String, _ bytes: [UInt8],
        sourceLocation: SourceLocation = #_sourceLocation
    ) {
        let error = expectRefusal(rule, label, sourceLocation: sourceLocation) {
            _ = try SafetensorsFile.read(bytes: bytes, label: "hostile")
        }
        #expect(error?.path == "hostile", sourceLocation: sourceLocation)
        #expect(error?.offset.map { (0...bytes.count).contains($0) } == true, sourceLocation: sourceLocation)
    }

    @Test func theSoundFilesThatTheOthersAreMadeFrom() throws {
        let sound = [
            file("{}"), file("{}      "), file(#"{"__metadata__":{}}"#),
            file(#"{ "a" : \#(tensor("[2]", "[0,2]")) }"#, data: 2),
            file(#"{"b":\#(tensor("[2,1]", "[1,3]")),"a":\#(tensor("[]", "[0,1]"))}"#, data: 3),
            // Tensors without elements share their offset with a neighbour.
            file(
                #"{"a":\#(tensor("[2]", "[0,2]")),"b":\#(tensor("[0,7]", "[0,0]")),"c":\#(tensor("[0]", "[2,2]"))}"#,
                data: 2),
            file(#"{"\u00e9\ud83d\ude00\n":\#(tensor("[1,1,1,1,1,1,1,1]", "[0,1]"))}"#, data: 1),
        ]
        for bytes in sound { _ = try SafetensorsFile.read(bytes: bytes) }
        #expect(try SafetensorsFile.read(bytes: sound[6]).names == ["é😀\n"])
    }

    @Test func headerLength() {
        refuse(.headerLength, "empty", [])
        refuse(.headerLength, "seven bytes", [2, 0, 0, 0, 0, 0, 0])
        refuse(.headerLength, "header over the end", bytes(UInt64(3)) + Array("{}".utf8))
        refuse(.headerLength, "huge header", bytes(UInt64(100_000_001)) + Array("{}".utf8))
        refuse(.headerLength, "overflowing header", bytes(UInt64.max - 4) + Array("{}".utf8))
        // The limit holds for any file length; this file is sparse on disk.
        #expect(throws: Never.self) {
            let folder = try TemporaryFolder()
            let path = folder.path + "/sparse.safetensors"
            #expect(FileManager.default.createFile(atPath: path, contents: Data(bytes(UInt64(100_000_001)) + [0x7b])))
            try FileHandle(forWritingTo: URL(fileURLWithPath: path)).truncate(atOffset: 200_000_000)
            expectRefusal(.headerLength) { _ = try SafetensorsFile.read(path) }
        }
    }

    @Test func headerStartAndText() {
        refuse(.headerStart, "no header", file(""))
        refuse(.headerStart, "leading space", file(" {}"))
        refuse(.headerStart, "array", file("[]"))
        refuse(.headerText, "bad UTF-8 in a name", file(Array(#"{"a"#.utf8) + [0xff] + Array(#"":1}"#.utf8)))
        refuse(.headerText, "bad UTF-8 behind", file(Array("{}".utf8) + [0xc3]))
        refuse(.headerText, "half a surrogate pair", file(#"{"\ud83d":\#(tensor("[1]", "[0,1]"))}"#, data: 1))
        refuse(.headerText, "a wrong surrogate pair", file(#"{"\ud83d\u0041":\#(tensor("[1]", "[0,1]"))}"#, data: 1))
    }

    @Test func headerSyntax() {
        let sound = tensor("[1]", "[0,1]")
        let cases = [
            "{", "{}x", "{}\n", #"{"a"}"#, #"{"a":}"#, #"{"a":\#(sound),}"#, #"{"a":\#(sound)"#, #"{a:\#(sound)}"#,
            #"{"a":[]}"#, #"{"a":null}"#, #"{"a\x":\#(sound)}"#, #"{"a\u00g0":\#(sound)}"#, #"{"a\#u{1}":\#(sound)}"#,
            #"{"a":{}}"#, #"{"a":{"dtype":"U8","shape":[1]}}"#, #"{"a":{"dtype":"U8","data_offsets":[0,1]}}"#,
            #"{"a":{"shape":[1],"data_offsets":[0,1]}}"#, #"{"a":\#(tensor("[1]", "[0]"))}"#,
            #"{"a":\#(tensor("[1]", "[0,1,2]"))}"#, #"{"a":\#(tensor("[01]", "[0,1]"))}"#,
            #"{"a":\#(tensor("[,]", "[0,1]"))}"#, #"{"a":\#(tensor("[1,]", "[0,1]"))}"#,
            #"{"a":\#(tensor("1", "[0,1]"))}"#,
            #"{"a":\#(tensor("[\"1\"]", "[0,1]"))}"#, #"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"x":1}}"#,
            #"{"a":{"dtype":8,"shape":[1],"data_offsets":[0,1]}}"#,
        ]
        for header in cases { refuse(.headerSyntax, header, file(header, data: 1)) }
    }

    @Test func duplicateKeys() {
        let first = tensor("[1]", "[0,1]")
        refuse(.duplicateKey, "tensor", file(#"{"a":\#(first),"a":\#(tensor("[1]", "[1,2]"))}"#, data: 2))
        refuse(.duplicateKey, "escaped", file(#"{"a":\#(first),"\u0061":\#(tensor("[1]", "[1,2]"))}"#, data: 2))
        refuse(
            .duplicateKey, "field",
            file(#"{"a":{"dtype":"U8","dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#, data: 1))
        refuse(.duplicateKey, "metadata", file(#"{"__metadata__":{"k":"1","k":"2"}}"#))
        refuse(.duplicateKey, "two metadata", file(#"{"__metadata__":{},"__metadata__":{}}"#))
    }

    @Test func metadataText() {
        refuse(.metadataText, "number", file(#"{"__metadata__":{"k":1}}"#))
        refuse(.metadataText, "object", file(#"{"__metadata__":{"k":{}}}"#))
        refuse(.metadataText, "null", file(#"{"__metadata__":{"k":null}}"#))
        refuse(.metadataText, "no object", file(#"{"__metadata__":"pt"}"#))
    }

    @Test func elementType() {
        for type in ["F8_E4M3", "f32", "", "U16", "C64"] {
            refuse(.elementType, type, file(#"{"a":\#(tensor("[1]", "[0,1]", type: type))}"#, data: 1))
        }
    }

    @Test func wholeNumbers() {
        for number in ["-1", "1.0", "1e0", "+1", "-0", "9007199254740993", "99999999999999999999", ".5"] {
            refuse(.wholeNumber, number, file(#"{"a":\#(tensor("[\(number)]", "[0,1]"))}"#, data: 1))
            refuse(.wholeNumber, number, file(#"{"a":\#(tensor("[1]", "[0,\(number)]"))}"#, data: 1))
        }
    }

    @Test func limits() {
        refuse(.rankLimit, "rank 9", file(#"{"a":\#(tensor("[1,1,1,1,1,1,1,1,1]", "[0,1]"))}"#, data: 1))
        let name = String(repeating: "n", count: 1025)
        refuse(.nameLength, "name", file(#"{"\#(name)":\#(tensor("[1]", "[0,1]"))}"#, data: 1))
        let many = (0...100_000).map { #""\#($0)":\#(tensor("[0]", "[0,0]"))"# }.joined(separator: ",")
        refuse(.tensorCount, "100001 tensors", file("{\(many)}"))
        refuse(.sizeOverflow, "product", file(#"{"a":\#(tensor("[4294967296,4294967296]", "[0,0]"))}"#))
        refuse(.sizeOverflow, "bytes", file(#"{"a":\#(tensor("[2251799813685248,1024]", "[0,0]", type: "F64"))}"#))
    }

    @Test func offsets() {
        refuse(.offsetOrder, "end before begin", file(#"{"a":\#(tensor("[1]", "[1,0]"))}"#, data: 1))
        refuse(.offsetOrder, "of no elements", file(#"{"a":\#(tensor("[0]", "[1,0]"))}"#, data: 1))
        refuse(.offsetLength, "short", file(#"{"a":\#(tensor("[2]", "[0,1]"))}"#, data: 1))
        refuse(.offsetLength, "long", file(#"{"a":\#(tensor("[1]", "[0,2]"))}"#, data: 2))
        refuse(.offsetLength, "type", file(#"{"a":\#(tensor("[1]", "[0,2]", type: "F32"))}"#, data: 2))
        refuse(.offsetLength, "terabytes", file(#"{"a":\#(tensor("[1]", "[0,9007199254740992]"))}"#, data: 2))
    }

    @Test func tiling() {
        let a = tensor("[2]", "[0,2]")
        refuse(.tiling, "overlap", file(#"{"a":\#(a),"b":\#(tensor("[2]", "[1,3]"))}"#, data: 3))
        refuse(.tiling, "same bytes", file(#"{"a":\#(a),"b":\#(a)}"#, data: 2))
        refuse(.tiling, "hole", file(#"{"a":\#(a),"b":\#(tensor("[1]", "[3,4]"))}"#, data: 4))
        refuse(.tiling, "hole at the start", file(#"{"a":\#(tensor("[2]", "[1,3]"))}"#, data: 3))
        refuse(.tiling, "trailing byte", file(#"{"a":\#(a)}"#, data: 3))
        refuse(.tiling, "cut short", file(#"{"a":\#(a)}"#, data: 1))
        refuse(.tiling, "data of nobody", file("{}", data: 1))
        refuse(.tiling, "empty inside another", file(#"{"a":\#(a),"b":\#(tensor("[0]", "[1,1]"))}"#, data: 2))
        refuse(.tiling, "huge", file(#"{"a":\#(tensor("[9007199254740992]", "[0,9007199254740992]"))}"#, data: 2))
    }

    /// Every prefix and every single-byte change of a sound file is read or rejected, and never ends the process.
    @Test func damageIsNeverFatal() throws {
        let sound = [UInt8](try Data(contentsOf: URL(fileURLWithPath: fixture("reference.safetensors"))))
        for count in sound.indices {
            #expect(throws: WeightFileError.self) { try SafetensorsFile.read(bytes: Array(sound[..<count])) }
        }
        for position in sound.indices {
            for flip: UInt8 in [0x01, 0x80, 0xff] {
                var damaged = sound
                damaged[position] ^= flip
                if let table = try? SafetensorsFile.read(bytes: damaged) {
                    for name in table.names { _ = try table.tensor(name) }
                }
            }
        }
    }
}
