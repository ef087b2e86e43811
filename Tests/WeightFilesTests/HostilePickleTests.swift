import Foundation
import Tensors
import Testing
import WeightFiles

/// One pickle per rule of the pickle reader, each broken in one place.
@Suite struct HostilePickleTests {
    /// An archive with this pickle and a storage of eight bytes named 0.
    private func read(_ pickle: [UInt8]) throws -> TensorTable {
        let builder = ArchiveBuilder(entries: [
            .init(name: "x/data.pkl", content: pickle),
            .init(name: "x/data/0", content: [UInt8](repeating: 0, count: 8)),
        ])
        return try PyTorchFile.read(bytes: builder.build(), label: "hostile")
    }

    @discardableResult
    private func refuse(
        _ rule: WeightFileError.Rule, _ label: String, _ pickle: [UInt8],
        sourceLocation: SourceLocation = #_sourceLocation
    ) -> WeightFileError? {
        expectRefusal(rule, label, sourceLocation: sourceLocation) { _ = try read(pickle) }
    }

    private let storage = Pickle.storage("FloatStorage", key: "0", count: 2)

    /// A pickle of one dictionary with one tensor.
    private func tensor(_ offset: Int, _ shape: [Int], _ strides: [Int]) -> [UInt8] {
        Pickle.dictionary("a", Pickle.tensor(storage, offset: offset, shape: shape, strides: strides))
    }

    @Test func foreignGlobalsAreNamedAndNeverExecuted() {
        let globals = [
            ("os", "system"), ("posix", "system"), ("builtins", "eval"), ("torch", "FloatTensor"),
            ("torch._utils", "_rebuild_tensor"), ("collections", "OrderedDict.fromkeys"),
            ("collections ", "OrderedDict"),
            ("__torch__", "Model"), ("torch.serialization", "_get_layout"), ("", ""),
        ]
        for (module, name) in globals {
            let folder = NSTemporaryDirectory() + "kedge-executed-\(UUID().uuidString)"
            let call = Pickle.global(module, name) + Pickle.text("mkdir \(folder)") + [0x85] + Pickle.reduce
            let error = refuse(.pickleGlobal, "\(module).\(name)", Pickle.header + call + Pickle.stop)
            #expect(error?.found.contains("\(module).\(name)") == true)
            #expect(error?.offset == 2)
            #expect(error?.path == "hostile:x/data.pkl")
            #expect(!FileManager.default.fileExists(atPath: folder))
        }
        let long = Pickle.op("c") + [UInt8](repeating: 0x61, count: 300) + Array("\nx\n".utf8)
        refuse(.pickleGlobal, "long", Pickle.header + long)
        refuse(.pickleGlobal, "not UTF-8", Pickle.header + Pickle.op("c") + [0xff, 0x0a, 0x61, 0x0a])
    }

    /// Every opcode that is not needed is rejected, whatever follows it.
    @Test func opcodes() {
        let allowed = Set(
            "(})]t\u{85}\u{86}\u{87}qrhjXUJKM\u{8a}GN\u{88}\u{89}cRQsuaeb.\u{80}".unicodeScalars.map(\.value))
        #expect(allowed.count == 32)
        for opcode in UInt8.min...UInt8.max where !allowed.contains(UInt32(opcode)) {
            let error = refuse(.pickleOpcode, "opcode \(opcode)", Pickle.header + [opcode, 0, 0, 0, 0])
            #expect(error?.offset == 2)
        }
        refuse(.pickleOpcode, "no PROTO", Pickle.emptyDictionary + Pickle.stop)
        refuse(.pickleOpcode, "PROTO again", Pickle.header + Pickle.header + Pickle.stop)
        for version: UInt8 in [0, 1, 3, 4, 5] { refuse(.pickleOpcode, "protocol \(version)", [0x80, version]) }
    }

    @Test func truncation() {
        let sound = Pickle.dictionary("a", Pickle.tensor(storage))
        #expect(throws: Never.self) { try read(sound) }
        for count in 0..<sound.count { refuse(.pickleEnd, "cut to \(count)", Array(sound[..<count])) }
        refuse(.pickleEnd, "bytes after STOP", sound + [0])
        refuse(.pickleEnd, "text over the end", Pickle.header + Pickle.op("X") + bytes(UInt32(1000)))
    }

    @Test func stack() {
        for opcode in ["\u{85}", "\u{86}", "\u{87}", "t", "u", "e", "s", "a", "R", "Q", "b", "q"] as [Unicode.Scalar] {
            refuse(.pickleStack, "\(opcode) on nothing", Pickle.header + [UInt8(opcode.value), 0])
            // A mark protects the values below it.
            if opcode != "t" && opcode != "u" && opcode != "e" {
                refuse(
                    .pickleStack, "\(opcode) below a mark",
                    Pickle.header + Pickle.emptyTuple + Pickle.emptyTuple + Pickle.emptyTuple + Pickle.mark
                        + [UInt8(opcode.value), 0])
            }
        }
        refuse(.pickleStack, "nothing at the end", Pickle.header + Pickle.stop)
        refuse(.pickleStack, "two at the end", Pickle.header + Pickle.emptyTuple + Pickle.emptyTuple + Pickle.stop)
        refuse(.pickleStack, "mark at the end", Pickle.header + Pickle.mark + Pickle.emptyTuple + Pickle.stop)
        let many = [UInt8](repeating: UInt8(ascii: "N"), count: 100_001)
        refuse(.pickleStack, "100001 values", Pickle.header + many + Pickle.stop)
        let marks = [UInt8](repeating: UInt8(ascii: "("), count: 100_001)
        refuse(.pickleStack, "100001 marks", Pickle.header + marks + Pickle.stop)
    }

    /// Nested tuples, deeper than any call stack could free one by one.
    @Test func nesting() {
        let deep = [UInt8](repeating: 0x85, count: 300_000)
        refuse(.stateDictionary, "300001 tuples", Pickle.header + Pickle.emptyTuple + deep + Pickle.stop)
        let more = [UInt8](repeating: 0x85, count: 1_000_001)
        refuse(.pickleStack, "1000002 tuples", Pickle.header + Pickle.emptyTuple + more + Pickle.stop)
        // A dictionary that holds itself.
        let cycle = Pickle.emptyDictionary + Pickle.op("q") + [0] + Pickle.text("model") + Pickle.op("h") + [0]
        refuse(.stateDictionary, "cycle", Pickle.header + cycle + Pickle.setItem + Pickle.stop)
    }

    @Test func memo() {
        refuse(.pickleMemo, "unknown", Pickle.header + Pickle.op("h") + [7])
        refuse(.pickleMemo, "unknown, long", Pickle.header + Pickle.op("j") + bytes(UInt32.max))
        refuse(.pickleMemo, "index", Pickle.header + Pickle.emptyTuple + Pickle.op("r") + bytes(UInt32(1_000_000)))
    }

    @Test func values() {
        let text = String(repeating: "t", count: 65_537)
        refuse(.pickleValue, "long text", Pickle.header + Pickle.text(text))
        refuse(.pickleValue, "text not UTF-8", Pickle.header + Pickle.op("U") + [1, 0xff])
        refuse(.pickleValue, "LONG1 of nine bytes", Pickle.header + [0x8a, 9] + [UInt8](repeating: 1, count: 9))
        refuse(
            .pickleValue, "key", Pickle.header + Pickle.emptyDictionary + Pickle.emptyTuple + Pickle.emptyTuple + [0x73]
        )
        refuse(
            .pickleValue, "items of no dictionary",
            Pickle.header + Pickle.op("N") + Pickle.text("a") + Pickle.text("b") + [0x73])
        refuse(
            .pickleValue, "odd number of items",
            Pickle.header + Pickle.emptyDictionary + Pickle.mark + Pickle.text("a") + Pickle.op("u"))
        refuse(.pickleValue, "append to no list", Pickle.header + Pickle.emptyTuple + Pickle.op("N") + Pickle.op("a"))
        refuse(
            .pickleValue, "BUILD on a dictionary",
            Pickle.header + Pickle.emptyDictionary + Pickle.emptyDictionary + Pickle.op("b"))
        refuse(.pickleValue, "call of a text", Pickle.header + Pickle.text("x") + Pickle.emptyTuple + Pickle.reduce)
        refuse(
            .pickleValue, "call of a storage",
            Pickle.header + Pickle.global("torch", "FloatStorage") + Pickle.emptyTuple + Pickle.reduce)
        refuse(
            .pickleValue, "arguments of OrderedDict",
            Pickle.header + Pickle.global("collections", "OrderedDict") + Pickle.text("x") + [0x85] + Pickle.reduce)
        refuse(
            .pickleValue, "parameter of nothing",
            Pickle.header + Pickle.global("torch._utils", "_rebuild_parameter") + Pickle.emptyTuple + Pickle.reduce)
        refuse(
            .pickleValue, "tensor of nothing",
            Pickle.header + Pickle.global("torch._utils", "_rebuild_tensor_v2") + Pickle.emptyTuple + Pickle.reduce)
        refuse(.pickleValue, "persistent text", Pickle.header + Pickle.text("x") + Pickle.op("Q"))
        refuse(
            .pickleValue, "persistent tuple", Pickle.header + Pickle.tuple([Pickle.text("storage")]) + Pickle.op("Q"))
        refuse(
            .duplicateKey, "twice",
            Pickle.header + Pickle.emptyDictionary + Pickle.mark + Pickle.text("a") + Pickle.op("N") + Pickle.text("a")
                + Pickle.op("N") + Pickle.op("u"))
    }

    @Test func stateDictionaries() {
        refuse(.stateDictionary, "text", Pickle.header + Pickle.text("weights") + Pickle.stop)
        refuse(.stateDictionary, "empty", Pickle.header + Pickle.emptyDictionary + Pickle.stop)
        refuse(.stateDictionary, "no tensors", Pickle.dictionary("a", Pickle.integer(1)))
        let mixed =
            Pickle.header + Pickle.emptyDictionary + Pickle.mark + Pickle.text("a") + Pickle.tensor(storage)
            + Pickle.text("epoch") + Pickle.integer(1) + Pickle.op("u") + Pickle.stop
        let error = refuse(.stateDictionary, "mixed", mixed)
        #expect(error?.found.contains("epoch") == true)
        let name = String(repeating: "n", count: 1025)
        refuse(.nameLength, "name", Pickle.dictionary(name, Pickle.tensor(storage)))
    }

    /// The product of extents beside a zero may overflow.
    @Test func extentsBesideAZero() throws {
        let shape = [0, 1 << 40, 1 << 40]
        let table = try read(tensor(0, shape, [0, 1 << 40, 1]))
        #expect(table["a"]?.shape == shape)
        #expect(table["a"]?.count == 0)
        #expect(try table.tensor("a").count == 0)
    }

    @Test func namesOutOfAFileDoNotBreakLines() throws {
        let table = try read(Pickle.dictionary("a\n\u{1b}[2Jb", Pickle.tensor(storage)))
        let error = #expect(throws: WeightFileError.self) { _ = try table.integers("a\n\u{1b}[2Jb") }
        #expect(
            error?.description.contains("a\\n\\u{1b}[2Jb has element type F32") == true, "\(String(describing: error))")
    }

    /// Nested wrappers, each of which would rename every tensor of the file once more.
    @Test func namesWrappedManyTimes() throws {
        let wrapped = String(repeating: "module.model.sam.", count: 60)
        let tensors = ["a", "b"].map { Pickle.text(wrapped + $0) + Pickle.tensor(storage) + Pickle.setItem }.joined()
        let pickle = Pickle.header + Pickle.emptyDictionary + tensors + Pickle.stop
        #expect(try read(pickle).names == ["a", "b"])
    }

    @Test func bounds() throws {
        // The storage holds two floats.
        for (offset, shape, strides) in [
            (0, [2], [1]), (1, [1], [9]), (0, [2, 1], [1, 7]), (2, [0], [1]), (0, [], []),
        ] {
            #expect(try read(tensor(offset, shape, strides))["a"]?.shape == shape)
        }
        refuse(.storageBounds, "over the end", tensor(1, [2], [1]))
        refuse(.storageBounds, "offset over the end", tensor(3, [0], [1]))
        refuse(.storageBounds, "stride over the end", tensor(0, [2], [2]))
        refuse(.storageBounds, "expanded bomb", tensor(0, [1 << 40], [0]))
        refuse(.storageBounds, "three of two", tensor(0, [3], [0]))
        refuse(.storageBounds, "negative offset", tensor(-1, [2], [1]))
        refuse(.storageBounds, "negative extent", tensor(0, [-2], [1]))
        refuse(.storageBounds, "negative stride", tensor(1, [2], [-1]))
        refuse(.sizeOverflow, "product", tensor(0, [1 << 40, 1 << 40], [0, 0]))
        refuse(.sizeOverflow, "stride", tensor(0, [3], [.max]))
        refuse(.sizeOverflow, "sum of strides", tensor(0, [2, 2], [.max - 1, 2]))
        refuse(.rankLimit, "rank 9", tensor(0, [Int](repeating: 1, count: 9), [Int](repeating: 1, count: 9)))
        refuse(.pickleValue, "ranks differ", tensor(0, [2], [1, 1]))
        let huge = Pickle.storage("DoubleStorage", key: "0", count: 1 << 61)
        refuse(.sizeOverflow, "storage", Pickle.dictionary("a", Pickle.tensor(huge)))
        let negative = Pickle.storage("FloatStorage", key: "0", count: -2)
        refuse(.pickleValue, "negative storage", Pickle.dictionary("a", Pickle.tensor(negative)))
        let larger = Pickle.storage("FloatStorage", key: "0", count: 1 << 40)
        refuse(.storageSize, "terabytes", Pickle.dictionary("a", Pickle.tensor(larger, shape: [1 << 40], strides: [1])))
        let elsewhere = Pickle.storage("FloatStorage", key: "../data.pkl", count: 2)
        refuse(.storageSize, "key", Pickle.dictionary("a", Pickle.tensor(elsewhere)))
    }
}
