import Foundation
import Tensors
import Testing
import TestSupport
import WeightFiles

/// Weight files that are cut or written to while they are read, small ones kept in memory and large ones read in parts.
@Suite struct ChangedFileTests {
    private let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    /// Copies a file of tensors, last changed long ago, so that a change now is seen whatever the clock's steps.
    private func copy(_ name: String) throws -> String {
        let path = folder.path + "/" + name
        try? FileManager.default.removeItem(atPath: path)
        try FileManager.default.copyItem(atPath: fixture(name), toPath: path)
        try FileManager.default.setAttributes([.modificationDate: Date(timeIntervalSince1970: 1e9)], ofItemAtPath: path)
        return path
    }

    private func table(of file: FileBytes) throws -> TensorTable {
        try file.path.hasSuffix(".pth") ? PyTorchFile.table(of: file) : SafetensorsFile.table(of: file)
    }

    @Test(arguments: ["reference.safetensors", "tiny.pth"]) func partsOfALargeFileAreTheSameTensors(name: String) throws
    {
        let path = try copy(name)
        let (kept, parts) = (try WeightFile.open(path), try table(of: FileBytes(path: path, keptUpTo: 0)))
        #expect(parts.entries.map(\.shape) == kept.entries.map(\.shape) && parts.metadata == kept.metadata)
        #expect(try parts.contentDigest() == kept.contentDigest() && parts.fileDigest() == kept.fileDigest())
        for entry in kept.entries {
            guard entry.shape.count <= 4 else { continue }
            #expect(try parts.tensor(entry.name).elements == kept.tensor(entry.name).elements, "\(entry.name)")
            if entry.elementType.isInteger { #expect(try parts.integers(entry.name) == kept.integers(entry.name)) }
        }
        try parts.checkUnchanged()
    }

    /// A file that is cut between opening and reading, at every length in steps, whatever is read of it.
    @Test(arguments: ["reference.safetensors", "tiny.pth"], [0, FileBytes.memoryLimit]) func aCutFileIsNamed(
        name: String, limit: Int
    ) throws {
        let size = try Data(contentsOf: URL(fileURLWithPath: copy(name))).count
        for length in stride(from: 0, to: size, by: 97) {
            let path = try copy(name)
            let error = expectRefusal(.unchanged, "cut to \(length)") {
                let file = try FileBytes(path: path, keptUpTo: limit) { truncate(path, off_t(length)) }
                let table = try table(of: file)
                _ = (try table.contentDigest(), try table.fileDigest())
            }
            #expect(error?.description.hasPrefix(path + ":") == true)
            #expect(error?.found.contains("it had \(size) bytes at first") == true)
        }
    }

    /// Tensors of a large file that is cut after its names were read.
    @Test func everyAccessNoticesTheCut() throws {
        let path = try copy("reference.safetensors")
        let table = try table(of: FileBytes(path: path, keptUpTo: 0))
        truncate(path, 8)
        expectRefusal(.unchanged) { _ = try table.tensor("b.float32") }
        expectRefusal(.unchanged) { _ = try table.tensor("half") }
        expectRefusal(.unchanged) { _ = try table.integers("int64") }
        expectRefusal(.unchanged) { _ = try table.bytes("bytes") }
        expectRefusal(.unchanged) { _ = try table.fileDigest() }
        expectRefusal(.unchanged) { _ = try WeightContract(["b.float32": [2, 3]]).tensors(of: table) }
    }

    /// New contents of the same length: a digest and values would be of two states.
    @Test func overwritingInPlaceIsNoticed() throws {
        let path = try copy("reference.safetensors")
        let file = try FileBytes(path: path, keptUpTo: 0)
        let table = try table(of: file)
        let handle = try #require(FileHandle(forWritingAtPath: path))
        try handle.seek(toOffset: UInt64(file.count - 4))
        try handle.write(contentsOf: Data([1, 2, 3, 4]))
        expectRefusal(.unchanged) { try table.checkUnchanged() }
        expectRefusal(.unchanged) { try WeightContract(["b.float32": [2, 3]], ignorableSuffixes: [""]).check(table) }
    }

    /// What was read at once stays what it was.
    @Test func aSmallFileMayChangeLater() throws {
        let path = try copy("reference.safetensors")
        let table = try WeightFile.open(path)
        let digest = try table.contentDigest()
        truncate(path, 0)
        #expect(try table.contentDigest() == digest)
    }

    @Test func modelsInSeveralFilesAreNamedAsSuch() throws {
        let index = folder.path + "/model.safetensors.index.json"
        for text in [
            #"{"metadata": {"total_size": 9}, "weight_map": {"a": "model-00001-of-00002.safetensors"}}"#,
            "{\n  \"metadata\": {},\n  \"weight_map\": {}\n}",
        ] {
            try Data(text.utf8).write(to: URL(fileURLWithPath: index))
            let error = expectRefusal(.oneFile) { _ = try WeightFile.open(index) }
            #expect(error?.description.contains("save_pretrained") == true)
        }
        try Data(#"{"weights": []}"#.utf8).write(to: URL(fileURLWithPath: index))
        let error = expectRefusal(.knownFormat) { _ = try WeightFile.open(index) }
        #expect(error?.found == "a JSON text")
        for (name, part) in [("model-00001-of-00003.safetensors", 1), ("pytorch_model-00002-of-00003.bin", 2)] {
            let error = expectRefusal(.oneFile) { try WeightFile.refusePart("a/" + name) }
            #expect(error?.found == "part \(part) of a model that was saved in 3 files")
        }
        for name in ["model-00001-of-00001.safetensors", "sam-1-of-2.pth", "model-00001-of-00002/model.safetensors"] {
            try WeightFile.refusePart("a/" + name)
        }
    }

    /// Names of one storage again and again: eight times its bytes are read, no more.
    @Test func aliasesAreBounded() throws {
        let floats = 1 << 20
        let storage = Pickle.storage("FloatStorage", key: "0", count: floats)
        func read(_ count: Int) throws -> TensorTable {
            let tensors = (0..<count).flatMap { number in
                Pickle.text("t\(number)") + Pickle.tensor(storage, shape: [floats], strides: [1]) + Pickle.setItem
            }
            return try PyTorchFile.read(
                bytes: ArchiveBuilder(entries: [
                    .init(
                        name: "x/data.pkl",
                        content: Pickle.header + Pickle.emptyDictionary + tensors + Pickle.stop),
                    .init(name: "x/data/0", content: [UInt8](repeating: 0, count: 4 * floats)),
                ]).build(), label: "aliases")
        }
        #expect(try read(8).names.count == 8)
        let error = expectRefusal(.aliasLimit) { _ = try read(9) }
        #expect(error?.description.contains("9 tensors that share storages") == true)
    }
}
