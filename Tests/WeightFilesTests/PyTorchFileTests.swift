import Foundation
import Tensors
import Testing
import TestSupport
import WeightFiles

@Suite struct PyTorchFileTests {
    private func counted(_ count: Int) -> [Float] { (0..<count).map { Float($0) / 4 - 1 } }

    /// A file written by `torch.save` from a wrapped state dictionary with the prefix `module.`.
    @Test func readsWhatTorchSaved() throws {
        let table = try WeightFile.open(fixture("tiny.pth"))
        #expect(
            table.names == [
                "bfloat", "bool", "double", "empty", "half", "int16", "int32", "int8", "parameter", "permuted", "plain",
                "rank5", "scalar", "transposed", "uint8", "window",
            ])
        #expect(try table.tensor("plain").shape == [4, 6])
        #expect(try table.tensor("plain").elements == counted(24))
        #expect(try table.tensor("transposed").shape == [3, 2])
        #expect(try table.tensor("transposed").elements == [-1, -0.25, -0.75, 0, -0.5, 0.25])
        #expect(try table.tensor("window").shape == [2, 3])
        #expect(try table.tensor("window").elements == [1, 1.25, 1.5, 2.5, 2.75, 3])
        // permuted[k, i, j] = counted[i, j, k] of shape [2, 3, 4]
        let permuted: [Float] = (0..<24).map { Float($0 % 6 * 4 + $0 / 6) / 4 - 1 }
        #expect(try table.tensor("permuted").shape == [4, 2, 3])
        #expect(try table.tensor("permuted").elements == permuted)
        #expect(try table.tensor("parameter").elements == counted(5))
        #expect(try table.tensor("half").elements == counted(3))
        #expect(try table.tensor("bfloat").elements == counted(3))
        #expect(try table.tensor("double").elements == counted(3))
        #expect(try table.integers("scalar") == [123_456_789_012])
        #expect(try table.integers("int32") == [-1, 2])
        #expect(try table.integers("int16") == [-3, 4])
        #expect(try table.integers("int8") == [-5, 6])
        #expect(try table.bytes("uint8") == [7, 255])
        #expect(try table.bytes("bool") == [1, 0, 1])
        #expect(try table.tensor("empty").shape == [0, 3])
        #expect(table["rank5"]?.shape == [1, 2, 1, 2, 2])
        expectRefusal(.tensorRank) { _ = try table.tensor("rank5") }
    }

    @Test func filesBefore16AreNamedAsSuch() throws {
        let remedy = "re-save with torch.save or convert to safetensors"
        let first = expectRefusal(.legacyFile) { _ = try WeightFile.open(fixture("legacy.pth")) }
        #expect(first?.description.contains(remedy) == true)
        let second = expectRefusal(.legacyFile) { _ = try PyTorchFile.read(fixture("legacy.pth")) }
        #expect(second?.description.contains(remedy) == true)
    }

    @Test func theFormatIsToldByTheFirstBytes() throws {
        let folder = try TemporaryFolder()
        let disguised = folder.path + "/weights.pth"
        try FileManager.default.copyItem(atPath: fixture("reference.safetensors"), toPath: disguised)
        #expect(try WeightFile.open(disguised).metadata == ["format": "pt"])
        let text = folder.path + "/readme.txt"
        #expect(FileManager.default.createFile(atPath: text, contents: Data("no weights here".utf8)))
        expectRefusal(.knownFormat) { _ = try WeightFile.open(text) }
        expectRefusal(.fileUnreadable) { _ = try WeightFile.open(folder.path + "/nobody") }
        expectRefusal(.regularFile) { _ = try WeightFile.open(folder.path) }
        let pipe = folder.path + "/pipe"
        try #require(mkfifo(pipe, 0o600) == 0)
        expectRefusal(.regularFile) { _ = try WeightFile.open(pipe) }
    }

    /// A file of one tensor of two floats, wrapped in dictionaries under the given keys.
    private func wrapped(_ keys: [String], name: String) -> [UInt8] {
        let tensor = Pickle.tensor(Pickle.storage("FloatStorage", key: "0", count: 2))
        var value = Pickle.emptyDictionary + Pickle.text(name) + tensor + Pickle.setItem
        for key in keys.reversed() {
            value = Pickle.emptyDictionary + Pickle.text(key) + value + Pickle.setItem
        }
        return archive(Pickle.header + value + Pickle.stop)
    }

    private func archive(_ pickle: [UInt8]) -> [UInt8] {
        let values: [Float] = [3, 4]
        return ArchiveBuilder(entries: [
            .init(name: "x/data.pkl", content: pickle),
            .init(name: "x/data/0", content: values.flatMap { bytes($0.bitPattern) }),
        ]).build()
    }

    @Test func wrappersAndPrefixesAreRemoved() throws {
        for keys in [[], ["model"], ["state_dict"], ["anything"], ["checkpoint", "model"], ["a", "b", "c"]] {
            for prefix in ["", "module.", "model.", "sam.", "module.model.sam.", "sam.module."] {
                let table = try PyTorchFile.read(bytes: wrapped(keys, name: prefix + "w"))
                #expect(table.names == ["w"], "\(keys) \(prefix)")
                #expect(try table.tensor("w").elements == [3, 4])
            }
        }
        expectRefusal(.stateDictionary) { _ = try PyTorchFile.read(bytes: wrapped(["a", "b", "c", "d"], name: "w")) }
    }

    @Test func aPrefixThatNotAllNamesHaveStays() throws {
        let one = Tensor([1], [1])
        let folder = try TemporaryFolder()
        let path = folder.path + "/w.safetensors"
        try SafetensorsFile.write([TensorToWrite("model.a", one), TensorToWrite("b", one)], to: path)
        #expect(try WeightFile.open(path).names == ["b", "model.a"])
        try SafetensorsFile.write([TensorToWrite("model.a", one), TensorToWrite("model.b", one)], to: path)
        #expect(try WeightFile.open(path).names == ["a", "b"])
        #expect(try SafetensorsFile.read(path).names == ["model.a", "model.b"])
    }

    /// An optimizer beside the model, as in training checkpoints, is ignored; two unnamed dictionaries are rejected.
    @Test func theModelIsFoundBesideOtherThings() throws {
        let tensor = Pickle.tensor(Pickle.storage("FloatStorage", key: "0", count: 2))
        func dictionary(_ name: String) -> [UInt8] {
            Pickle.emptyDictionary + Pickle.text(name) + tensor + Pickle.setItem
        }
        func file(_ first: String, _ second: String) -> [UInt8] {
            archive(
                Pickle.header + Pickle.emptyDictionary + Pickle.mark + Pickle.text(first) + dictionary("moment")
                    + Pickle.text(second) + dictionary("w") + Pickle.text("epoch") + Pickle.integer(3)
                    + Pickle.op("u") + Pickle.stop)
        }
        #expect(try PyTorchFile.read(bytes: file("optimizer", "model")).names == ["w"])
        let error = expectRefusal(.stateDictionary) { _ = try PyTorchFile.read(bytes: file("first", "second")) }
        #expect(error?.found.contains("\"epoch\", \"first\", \"second\"") == true)
    }

    @Test func zip64RecordsAreUnderstood() throws {
        let pickle = Pickle.dictionary("a", Pickle.tensor(Pickle.storage("FloatStorage", key: "0", count: 2)))
        let values: [Float] = [3, 4]
        let content = values.flatMap { bytes($0.bitPattern) }
        var builder = ArchiveBuilder(entries: [.init(name: "x/data.pkl", content: pickle)])
        // Sizes and the offset of the second entry are in its ZIP64 field, after a foreign field.
        let header = 30 + 10 + pickle.count
        let wide = bytes(UInt16(1)) + bytes(UInt16(24)) + bytes(UInt64(8)) + bytes(UInt64(8)) + bytes(UInt64(header))
        builder.entries.append(
            .init(
                name: "x/data/0", content: content, claimedSize: .max, claimedHeader: .max,
                extra: bytes(UInt16(0x4246)) + bytes(UInt16(2)) + [0, 0] + wide))
        builder.isZIP64 = true
        #expect(try PyTorchFile.read(bytes: builder.build()).tensor("a").elements == [3, 4])
        builder.isZIP64 = false
        builder.comment = Array("made by hand".utf8)
        #expect(try PyTorchFile.read(bytes: builder.build()).tensor("a").elements == [3, 4])
    }
}
