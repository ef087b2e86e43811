import Adapters
import Layers
import SegmentAnything
import Tensors
import WeightFiles

extension FuzzedParser {
    static let safetensorsWords =
        ElementType.allCases.map { "\"\($0.rawValue)\"" } + [
            "\"dtype\":", "\"shape\":[", "\"data_offsets\":[0,0]", "\"__metadata__\":{", "{", "}", "[", "]", ",", ":",
            "\"",
            "\\u0000", "\\ud800\\udc00", "\\ud800", "-1", "1e3", "0.5", "9007199254740992", "9007199254740993",
        ]

    static let safetensors = FuzzedParser(
        "safetensors", words: safetensorsWords,
        written: {
            let tensor = Tensor((0..<6).map(Float.init), [2, 3])
            return [
                try SafetensorsFile.encode([TensorToWrite("a", tensor)]),
                try SafetensorsFile.encode(
                    [
                        TensorToWrite("w", tensor, as: .bfloat16), TensorToWrite("h", tensor, as: .float16),
                        TensorToWrite("d", tensor, as: .float64),
                        TensorToWrite("n\"\u{1}", integers: [1, -2], shape: [2, 1]),
                        TensorToWrite("empty", bytes: [], shape: [0, 4]),
                    ], metadata: ["format": "pt", "é": "\n"]),
            ]
        }, change: SafetensorsParts.change
    ) { bytes in
        guard let table = try attempt(WeightFileError.self, { try SafetensorsFile.read(bytes: bytes) }) else {
            return false
        }
        try check(table, fileBytes: bytes.count)
        try checkWrittenAgain(table)
        return true
    }

    /// Names, sizes and values of an accepted table.
    private static func check(_ table: TensorTable, fileBytes: Int) throws {
        try require(Set(table.names.map { Array($0.utf8) }).count == table.entries.count, "two tensors of one name")
        for entry in table.entries {
            try require(entry.shape.allSatisfy { $0 >= 0 } && entry.count >= 0, "shape \(entry.shape)")
            try require(entry.count <= fileBytes / entry.elementType.size, "\(entry.shape) in \(fileBytes) bytes")
            if let tensor = try attempt(WeightFileError.self, { try table.tensor(entry.name) }) {
                try require(tensor.elements.count == entry.count, "\(tensor.count) elements of \(entry.count)")
            } else {
                try require(entry.shape.count > 4, "a tensor of shape \(entry.shape) cannot be read")
            }
            if entry.elementType.isInteger {
                try require(try table.integers(entry.name).count == entry.count, "integers of \(entry.shape)")
            }
        }
        try require(try table.contentDigest().count == 64 && table.fileDigest().count == 64, "a digest")
    }

    /// Float tensors survive writing and reading.
    private static func checkWrittenAgain(_ table: TensorTable) throws {
        let floats = table.entries.filter { $0.elementType == .float32 && $0.shape.count <= 4 }
        let written = try SafetensorsFile.encode(
            try floats.map { TensorToWrite($0.name, try table.tensor($0.name)) }, metadata: table.metadata)
        let again = try SafetensorsFile.read(bytes: written)
        try require(again.names == floats.map(\.name) && again.metadata == table.metadata, "names after writing again")
        for entry in floats {
            let (before, after) = (try table.tensor(entry.name).elements, try again.tensor(entry.name).elements)
            try require(before.map(\.bitPattern) == after.map(\.bitPattern), "values after writing again")
        }
    }

    static let pyTorch = FuzzedParser(
        "pth", longestInput: 8192,
        words: [
            "ctorch\nFloatStorage\n", "ctorch._utils\n_rebuild_tensor_v2\n", "ctorch._utils\n_rebuild_parameter\n",
            "ccollections\nOrderedDict\n", "cos\nsystem\n", "X\u{1}\u{0}\u{0}\u{0}a", "K\u{0}", "(", "t", "R", "Q", "}",
            "u", "s",
            "q\u{0}", "h\u{0}", "b", ".", "]", "e", ")", "N",
        ],
        change: { bytes, source in
            var archive = StoredArchive(bytes)
            guard !archive.entries.isEmpty else { return source.changeBytes(of: &bytes) }
            let pickle = archive.entries.firstIndex { $0.name.suffix(8).elementsEqual("data.pkl".utf8) }
            let place = source.generator.index(below: archive.entries.count)
            switch source.generator.index(below: 8) {
            case 0: source.rearrange(&archive.entries)
            case 1: source.changeBytes(of: &archive.entries[place].name)
            case 2: source.changeBytes(of: &archive.entries[place].content)
            case 3:
                if let pickle { source.changeBytes(of: &archive.entries[pickle].content) }
            default:
                guard let pickle else { break }
                var opcodes = PickleOpcodes(archive.entries[pickle].content)
                repeat { opcodes.change(&source) } while source.generator.chance(0.3)
                archive.entries[pickle].content = Array(opcodes.opcodes.joined())
            }
            bytes = archive.build()
        }, seal: StoredArchive.sealed
    ) { bytes in
        guard let table = try attempt(WeightFileError.self, { try PyTorchFile.read(bytes: bytes) }) else {
            return false
        }
        try check(table, fileBytes: bytes.count)
        return true
    }

    /// The adapter that matches those of the corpus.
    private static let (adapterModel, adapterLayout): (AdaptedModel, ParameterLayout) = {
        var places = ParameterPlaces(group: ParameterGroup("lora"))
        let site = ProjectionSite(index: 0, name: "encoder.blocks.0.attn.qkv", inputWidth: 3, outputWidth: 2)
        let adapter = LoRA([site], rank: 2, seed: 1, &places)
        let values = Tensor(adapter.parameters.flatMap(\.frozen.elements), [places.layout.count])
        let trainables = Trainables(layout: places.layout, adapters: [adapter])
        return (AdaptedModel(SegmentAnythingModel(.tiny, Zeros()), trainables, values: values), places.layout)
    }()

    /// Weights without meaning.
    private struct Zeros: ParameterSource {
        func tensor(_ name: String, _ shape: Shape) -> Tensor { Tensor(zeros: shape) }
    }

    static let adapter = FuzzedParser(
        "adapter",
        words: safetensorsWords + [
            "\"kedge_adapter\":\"1\"", "\"rank\":\"2\"", "\"image_size\":\"64\"", "\"step\":\"-1\"", "\"rank\":\"0\"",
        ],
        written: {
            let file = Scratch.path + "adapter"
            let description = AdapterFile.Description(
                model: "mobilesam", imageSize: 64, baseDigest: "ab12", preprocessing: "sam", step: 3, recipeDigest: "cd"
            )
            try AdapterFile.write(adapterModel, AdapterOptions(rank: 2), description, to: file)
            return [try Scratch.read(file)]
        }, change: SafetensorsParts.change
    ) { bytes in
        let file = Scratch.path + "adapter"
        try Scratch.write(bytes, to: file)
        guard let adapter = try attempt(WeightFileError.self, { try AdapterFile(opening: file) }) else { return false }
        try require((1...256).contains(adapter.options.rank), "rank \(adapter.options.rank)")
        _ = try attempt(WeightFileError.self) { try adapter.trainables(in: ModelDescription(.tiny)) }
        let digest = adapter.description.baseDigest
        let numbers = try attempt(WeightFileError.self) { try adapter.values(of: adapterLayout, baseDigest: digest) }
        try require(numbers?.elements.allSatisfy(\.isFinite) ?? true, "numbers that are not finite")
        return numbers != nil
    }
}
