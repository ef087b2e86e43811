import Foundation
import Tensors
import Testing
import TestSupport
import WeightFiles

@Suite struct SafetensorsTests {
    /// -1, -0.75, -0.5, ... as `make_fixtures.py` counts.
    private func counted(_ count: Int) -> [Float] { (0..<count).map { Float($0) / 4 - 1 } }

    @Test func readsEveryElementTypeOfTheReference() throws {
        let table = try SafetensorsFile.read(fixture("reference.safetensors"))
        #expect(table.metadata == ["format": "pt"])
        #expect(
            table.names == [
                "a.int32", "b.float32", "bfloat", "bool", "bytes", "double", "half", "int16", "int64", "int8",
                "é \"quoted\"\n\u{1}\\/",
            ])
        #expect(try table.tensor("b.float32").shape == [2, 3])
        #expect(try table.tensor("b.float32").elements == counted(6))
        #expect(try table.tensor("half").elements == counted(3))
        #expect(try table.tensor("bfloat").elements == counted(3))
        #expect(try table.tensor("double").elements == counted(2))
        #expect(try table.integers("int64") == [-7])
        #expect(table["int64"]?.shape == [])
        #expect(try table.integers("a.int32") == [1, -2])
        #expect(try table.tensor("a.int32").elements == [1, -2])
        #expect(try table.integers("int16") == [-9, 9])
        #expect(try table.integers("int8") == [-8])
        #expect(try table.bytes("bytes") == [0, 1, 255])
        #expect(try table.integers("bytes") == [0, 1, 255])
        #expect(try table.bytes("bool") == [1, 0])
        #expect(try table.tensor("é \"quoted\"\n\u{1}\\/").shape == [0, 3])
        expectRefusal(.valueType) { _ = try table.integers("half") }
        expectRefusal(.valueType) { _ = try table.bytes("int64") }
        expectRefusal(.missingTensor) { _ = try table.tensor("nobody") }
    }

    /// The same tensors give the bytes written by the reference implementation.
    @Test func writesTheBytesOfTheReference() throws {
        let expected = try Data(contentsOf: URL(fileURLWithPath: fixture("reference.safetensors")))
        let tensors = [
            TensorToWrite("bool", integers: [1, 0], shape: [2], as: .bool),
            TensorToWrite("b.float32", Tensor(counted(6), [2, 3])),
            TensorToWrite("a.int32", integers: [1, -2], shape: [2], as: .int32),
            TensorToWrite("half", Tensor(counted(3), [3]), as: .float16),
            TensorToWrite("bfloat", Tensor(counted(3), [3]), as: .bfloat16),
            TensorToWrite("int64", integers: [-7], shape: []),
            TensorToWrite("double", Tensor(counted(2), [2]), as: .float64),
            TensorToWrite("bytes", bytes: [0, 1, 255], shape: [3]),
            TensorToWrite("int8", integers: [-8], shape: [1], as: .int8),
            TensorToWrite("int16", integers: [-9, 9], shape: [2], as: .int16),
            TensorToWrite("é \"quoted\"\n\u{1}\\/", Tensor(zeros: [0, 3])),
        ]
        #expect(try SafetensorsFile.encode(tensors) == [UInt8](expected))
        #expect(try SafetensorsFile.encode(tensors.reversed()) == [UInt8](expected))

        let folder = try TemporaryFolder()
        let path = folder.path + "/out.safetensors"
        let written = try SafetensorsFile.write(tensors, to: path)
        #expect(try Data(contentsOf: URL(fileURLWithPath: path)) == expected)
        #expect(written.byteCount == expected.count)
        #expect(try written.digest == SafetensorsFile.read(path).fileDigest())
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["out.safetensors"])
    }

    @Test func metadataKeysAreSorted() throws {
        let bytes = try SafetensorsFile.encode([], metadata: ["z": "1", "a": "2", "m\"": "\u{7f}\t"])
        let header = try #require(String(bytes: bytes.dropFirst(8), encoding: .utf8))
        #expect(header.hasPrefix(#"{"__metadata__":{"a":"2","m\"":"\#u{7f}\t","z":"1"}}"#))
        #expect(bytes.count % 8 == 0)
        #expect(try SafetensorsFile.read(bytes: bytes).metadata == ["z": "1", "a": "2", "m\"": "\u{7f}\t"])
    }

    @Test func floatTensorsOfAFileAreViews() throws {
        let path = try fixture("reference.safetensors")
        let table = try SafetensorsFile.read(path)
        let first = try table.tensor("b.float32")
        let second = try table.tensor("b.float32")
        #expect(first.pointer == second.pointer)
        var copy = first
        copy[0] = 5
        #expect(first[0] == -1 && copy[0] == 5)
    }

    /// A tensor keeps the file mapped after its table is released.
    @Test func aViewOutlivesItsTable() throws {
        func load() throws -> Tensor { try SafetensorsFile.read(fixture("reference.safetensors")).tensor("b.float32") }
        #expect(try load().elements == counted(6))
    }

    @Test func narrowTypesRoundToNearestEven() throws {
        // 1 + 2^-9 lies between two BF16 numbers (spacing 2^-7) nearer to 1; 1 + 2^-8 is a tie and goes to even.
        let values: [Float] = [1 + 0x1p-9, 1 + 0x1p-8, 1 + 0x3p-8, -.infinity, .nan, 3.4e38]
        let table = try SafetensorsFile.read(
            bytes: SafetensorsFile.encode([TensorToWrite("x", Tensor(values, [6]), as: .bfloat16)]))
        let read = try table.tensor("x").elements
        #expect(Array(read[..<4]) == [1, 1, 1 + 0x1p-6, -.infinity])
        #expect(read[4].isNaN)
        #expect(read[5] == .infinity)

        // F16: spacing 2^-10 at 1; smallest subnormal 2^-24; largest 65504.
        let halves: [Float] = [1 + 0x1p-11, 1 + 0x3p-11, 0x1p-24, 65504, 65520, -0.0]
        let half = try SafetensorsFile.read(
            bytes: SafetensorsFile.encode([TensorToWrite("x", Tensor(halves, [6]), as: .float16)])
        ).tensor("x").elements
        #expect(half == [1, 1 + 0x1p-9, 0x1p-24, 65504, .infinity, -0.0])
        #expect(half[5].sign == .minus)
    }

    @Test func theWriterRefusesWhatTheReaderWould() {
        let one = Tensor([1], [1])
        expectRefusal(.duplicateKey) {
            _ = try SafetensorsFile.encode([TensorToWrite("a", one), TensorToWrite("a", one)])
        }
        expectRefusal(.duplicateKey) { _ = try SafetensorsFile.encode([TensorToWrite("__metadata__", one)]) }
        expectRefusal(.nameLength) {
            _ = try SafetensorsFile.encode([TensorToWrite(String(repeating: "n", count: 1025), one)])
        }
        expectRefusal(.rankLimit) {
            let shape = [Int](repeating: 1, count: 9)
            _ = try SafetensorsFile.encode([TensorToWrite("a", integers: [1], shape: shape)])
        }
    }

    @Test func aFailedWriteLeavesWhatStoodThere() throws {
        let folder = try TemporaryFolder()
        expectRefusal(.writable) { try SafetensorsFile.write([], to: folder.path + "/missing/out.safetensors") }
        // The target is a folder that is not empty: the file is written, and the rename fails.
        try FileManager.default.createDirectory(atPath: folder.path + "/out/inner", withIntermediateDirectories: true)
        expectRefusal(.writable) { try SafetensorsFile.write([], to: folder.path + "/out") }
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["out"])
    }

    /// /dev/full answers every write with ENOSPC.
    @Test func aFullDiskIsNamed() throws {
        let descriptor = open("/dev/full", O_WRONLY)
        try #require(descriptor >= 0)
        defer { close(descriptor) }
        let error = expectRefusal(.spaceLeft) {
            try [UInt8](repeating: 1, count: 100).withUnsafeBytes {
                try AtomicFile.put($0, into: descriptor, path: "out.safetensors")
            }
        }
        #expect(error?.description.contains("free space") == true)
        #expect(error?.path == "out.safetensors")
    }
}

@Suite struct ContentDigestTests {
    @Test func theSameWeightsHaveOneDigestInEveryContainer() throws {
        let pickled = try PyTorchFile.read(fixture("tiny.pth"))
        // The same tensors in another format, storage order and memory layout, without those of rank over 4.
        let kept = try pickled.renamed { $0 == "rank5" ? nil : $0 }
        let tensors = try kept.entries.map { entry in
            entry.elementType.isInteger
                ? TensorToWrite(
                    entry.name, integers: try kept.integers(entry.name), shape: entry.shape, as: entry.elementType)
                : TensorToWrite(entry.name, try kept.tensor(entry.name))
        }
        let written = try SafetensorsFile.read(bytes: SafetensorsFile.encode(tensors))
        #expect(try written.contentDigest() == kept.contentDigest())
        #expect(try written.fileDigest() != kept.fileDigest())
    }

    @Test func nameShapeAndValuesCount() throws {
        func digest(_ name: String, _ values: [Float], _ shape: Shape) throws -> String {
            let bytes = try SafetensorsFile.encode([TensorToWrite(name, Tensor(values, shape))])
            return try SafetensorsFile.read(bytes: bytes).contentDigest()
        }
        let digests = [
            try digest("a", [1, 2], [2]), try digest("b", [1, 2], [2]), try digest("a", [1, 3], [2]),
            try digest("a", [1, 2], [1, 2]), try digest("a", [2, 1], [2]),
        ]
        #expect(Set(digests).count == digests.count)
    }
}
