import Foundation
import Tensors
import Testing
import WeightFiles

@Suite struct WeightDialectTests {
    /// The names and shapes listed in a file of the folder Fixtures.
    private func listed(_ dialect: String) throws -> [(name: String, shape: [Int])] {
        let text = try String(contentsOfFile: fixture("names_\(dialect)_vit_b.txt"), encoding: .utf8)
        return try text.split(separator: "\n").map { line in
            let space = try #require(line.firstIndex(of: " "))
            let shape = line[space...].split { " [],".contains($0) }.compactMap { Int($0) }
            return (String(line[..<space]), shape)
        }
    }

    /// The names of a ViT of another depth, derived from those of ViT-B.
    private func deeper(_ names: [String], _ depth: Int) -> [String] {
        names.flatMap { name -> [String] in
            guard name.hasPrefix("image_encoder.blocks.") else { return [name] }
            guard name.hasPrefix("image_encoder.blocks.0.") else { return [] }
            return (0..<depth).map { "image_encoder.blocks.\($0)." + name.dropFirst("image_encoder.blocks.0.".count) }
        }
    }

    /// By the rules, every tensor of the official model gets the name, and has the shape, of one in transformers.
    @Test func huggingFaceNamesAreThoseOfTransformers() throws {
        let official = try listed("segment_anything")
        let other = try listed("hugging_face")
        #expect(official.count == 314 && other.count == 315)
        let shapes = Dictionary(uniqueKeysWithValues: other.map { ($0.name, $0.shape) })
        for (name, shape) in official {
            let renamed = try #require(HuggingFaceNames.huggingFaceName(name), "\(name)")
            #expect(shapes[renamed] == shape, "\(name) -> \(renamed)")
            #expect(HuggingFaceNames.officialName(renamed) == name)
        }
        let reached = Set(official.compactMap { HuggingFaceNames.huggingFaceName($0.name) })
        #expect(reached.count == 314)
        #expect(Set(other.map(\.name)).subtracting(reached) == ["shared_image_embedding.positional_embedding"])
        #expect(official.filter { HuggingFaceNames.huggingFaceName($0.name) == $0.name }.count == 68)
    }

    @Test func theRulesHoldForTheLargerModels() throws {
        let names = try listed("segment_anything").map(\.name)
        for (depth, count) in [(24, 482), (32, 594)] {
            let larger = deeper(names, depth)
            #expect(larger.count == count)
            let renamed = try larger.map { try #require(HuggingFaceNames.huggingFaceName($0)) }
            #expect(Set(renamed).count == count)
            #expect(renamed.map { HuggingFaceNames.officialName($0) } == larger)
        }
    }

    /// The official `layers.1` is `layers.0` in transformers: replacing text in several passes would confuse the two.
    @Test func perceptronLayersAreNotConfused() {
        let prefix = "mask_decoder.iou_prediction_head."
        #expect(HuggingFaceNames.officialName(prefix + "proj_in.weight") == prefix + "layers.0.weight")
        #expect(HuggingFaceNames.officialName(prefix + "layers.0.weight") == prefix + "layers.1.weight")
        #expect(HuggingFaceNames.officialName(prefix + "proj_out.bias") == prefix + "layers.2.bias")
        for name in ["layers.1.weight", "layers.0.scale", "layers.0.weight.x", "x.layers.0.weight", "layers..weight"] {
            #expect(HuggingFaceNames.officialName(prefix + name) == nil)
        }
        #expect(HuggingFaceNames.officialName("vision_encoder.layers.x.attn.qkv.weight") == nil)
    }

    /// A table of small tensors under Hugging Face names; each tensor holds its own number.
    private func huggingFaceTable(without: Set<String> = [], matrices: [Float] = [7, 7]) throws -> TensorTable {
        let tied = [
            "shared_image_embedding.positional_embedding", "prompt_encoder.shared_embedding.positional_embedding",
        ]
        let kept = try listed("hugging_face").map(\.name).filter { !without.contains($0) && !tied.contains($0) }
        var tensors = kept.enumerated().map { TensorToWrite($1, Tensor([Float($0)], [1, 1, 1, 1])) }
        for (name, value) in zip(tied, matrices) where !without.contains(name) {
            tensors.append(TensorToWrite(name, Tensor([value], [1, 1])))
        }
        return try SafetensorsFile.read(bytes: SafetensorsFile.encode(tensors))
    }

    @Test func tablesReachOfficialNames() throws {
        let expected = try listed("segment_anything").map(\.name).sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
        let image = "shared_image_embedding.positional_embedding"
        let shared = "prompt_encoder.shared_embedding.positional_embedding"
        for without in [[], [image], [shared]] as [Set<String>] {
            let table = try huggingFaceTable(without: without)
            let official = try WeightDialect.officialNames(table)
            #expect(official.names == expected)
            let matrix = "prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"
            #expect(try official.tensor(matrix).elements == [7])
            for name in ["vision_encoder.layers.11.layer_norm2.bias", "mask_decoder.upscale_conv2.weight"] {
                let renamed = try #require(HuggingFaceNames.officialName(name))
                #expect(try official.tensor(renamed).elements == table.tensor(name).elements)
            }
        }
        expectRefusal(.tiedTensors) { _ = try WeightDialect.officialNames(huggingFaceTable(matrices: [7, 8])) }
    }

    @Test func namesThatNoRuleKnowsStayForTheContract() throws {
        let tensors = [
            "vision_encoder.pos_embed", "vision_encoder.patch_embed.projection.weight",
            "vision_encoder.neck.conv1.weight", "vision_encoder.surprise",
        ]
        let bytes = try SafetensorsFile.encode(tensors.map { TensorToWrite($0, Tensor([1], [1, 1, 1, 1])) })
        let official = try WeightDialect.officialNames(SafetensorsFile.read(bytes: bytes))
        #expect(official.names.contains("vision_encoder.surprise"))
        let collision = try SafetensorsFile.encode(
            (tensors + ["image_encoder.neck.0.weight"]).map { TensorToWrite($0, Tensor([1], [1, 1, 1, 1])) })
        expectRefusal(.nameCollision) { _ = try WeightDialect.officialNames(SafetensorsFile.read(bytes: collision)) }
    }
}

@Suite struct ModelDetectionTests {
    /// A table of zeros in which only shapes matter.
    private func table(_ shapes: [(String, Shape)]) throws -> TensorTable {
        try SafetensorsFile.read(bytes: SafetensorsFile.encode(shapes.map { TensorToWrite($0.0, Tensor(zeros: $0.1)) }))
    }

    /// The tensors that identify a ViT.
    private func transformer(width: Int, depth: Int, grid: Int, window: Int, globalBlocks: [Int], heads: Int)
        -> [(String, Shape)]
    {
        [
            ("image_encoder.pos_embed", [1, grid, grid, width]),
            ("image_encoder.patch_embed.proj.weight", [width, 3, 16, 16]),
            ("image_encoder.neck.0.weight", [256, width, 1, 1]),
        ]
            + (0..<depth).map { block in
                let rows = 2 * (globalBlocks.contains(block) ? grid : window) - 1
                return ("image_encoder.blocks.\(block).attn.rel_pos_h", [rows, width / heads])
            }
    }

    @Test func theThreeModelsOfThePaper() throws {
        for (width, depth, heads) in [(768, 12, 12), (1024, 24, 16), (1280, 32, 16)] {
            let shapes = transformer(width: width, depth: depth, grid: 4, window: 2, globalBlocks: [2], heads: heads)
            let identity = try WeightDialect.detect(table(shapes))
            #expect("\(identity)" == "a ViT of width \(width) and depth \(depth) (segmentAnything names)")
        }
    }

    @Test func sizesOfAnotherTransformer() throws {
        let shapes = transformer(width: 32, depth: 4, grid: 8, window: 3, globalBlocks: [1, 3], heads: 2)
        guard case .viT(let sizes) = try WeightDialect.detect(table(shapes)).encoder else {
            Issue.record("not a plain ViT")
            return
        }
        #expect(sizes.width == 32 && sizes.depth == 4 && sizes.gridSide == 8 && sizes.patchSide == 16)
        #expect(sizes.heads == 2 && sizes.globalBlocks == [1, 3] && sizes.windowSide == 3)
        #expect(sizes.outputChannels == 256)
    }

    @Test func tinyViTsAreToldByTheirPatchEmbedding() throws {
        func detect(_ kernel: Int) throws -> WeightIdentity {
            try WeightDialect.detect(
                table([("image_encoder.patch_embed.seq.0.c.weight", [32, 3, kernel, kernel])]))
        }
        #expect(try detect(1) == WeightIdentity(dialect: .tinyViT, encoder: .tinyViT(patchKernel: 1)))
        #expect(try detect(3) == WeightIdentity(dialect: .tinyViT, encoder: .tinyViT(patchKernel: 3)))
        expectRefusal(.dialect) { _ = try detect(5) }
    }

    @Test func strangersAreRefused() throws {
        let error = expectRefusal(.dialect) {
            _ = try WeightDialect.detect(table([("conv1.weight", [1]), ("fc.bias", [1])]))
        }
        #expect(error?.found.contains("conv1.weight, fc.bias") == true)
        let sound = transformer(width: 32, depth: 4, grid: 8, window: 3, globalBlocks: [1], heads: 2)
        expectRefusal(.dialect, "gap in the blocks") {
            _ = try WeightDialect.detect(table(sound.filter { !$0.0.contains(".2.attn") }))
        }
        expectRefusal(.dialect, "no neck") {
            _ = try WeightDialect.detect(table(sound.filter { !$0.0.contains("neck") }))
        }
    }
}

@Suite struct WeightContractTests {
    private let contract = WeightContract(
        ["a": [2], "b": [1, 3], "c": [], "d": [1]], ignorableNames: ["head.weight"],
        ignorableSuffixes: [".num_batches_tracked"])

    private func table(_ tensors: [TensorToWrite]) throws -> TensorTable {
        try SafetensorsFile.read(bytes: SafetensorsFile.encode(tensors))
    }

    private let sound = [
        TensorToWrite("a", Tensor([1, 2], [2])), TensorToWrite("b", Tensor([1, 2, 3], [1, 3]), as: .float16),
        TensorToWrite("c", integers: [4], shape: []), TensorToWrite("d", Tensor([5], [1])),
        TensorToWrite("head.weight", Tensor([9], [1])),
        TensorToWrite("x.num_batches_tracked", integers: [9], shape: []),
    ]

    @Test func aFittingFileGivesTheTensorsOfTheContractAlone() throws {
        let tensors = try contract.tensors(of: table(sound))
        #expect(tensors.keys.sorted() == ["a", "b", "c", "d"])
        #expect(tensors["b"]?.elements == [1, 2, 3])
        #expect(tensors["c"]?.shape == [] && tensors["c"]?.elements == [4])
    }

    @Test func oneErrorListsEverything() throws {
        let wrong = [
            TensorToWrite("z", Tensor([1], [1])), TensorToWrite("y", Tensor([1], [1])),
            TensorToWrite("b", Tensor([1, 2, 3], [3, 1])), TensorToWrite("d", Tensor([.nan], [1])),
        ]
        let error = expectRefusal(.contract) { _ = try contract.tensors(of: table(wrong)) }
        #expect(
            error?.found
                == "2 missing: a, c; 2 unknown: y, z; 1 misshapen: b is [3, 1] instead of [1, 3]; 1 not finite: d")
    }

    @Test func infinityIsNotFinite() throws {
        for value: Float in [.infinity, -.infinity, .signalingNaN] {
            let wrong = Array(sound.dropFirst()) + [TensorToWrite("a", Tensor([1, value], [2]))]
            let error = expectRefusal(.contract) {
                _ = try contract.tensors(of: table(wrong))
            }
            #expect(error?.found == "1 not finite: a")
        }
        let extreme =
            Array(sound.dropFirst()) + [
                TensorToWrite("a", Tensor([.greatestFiniteMagnitude, -.leastNonzeroMagnitude], [2]))
            ]
        #expect(try contract.tensors(of: table(extreme)).count == 4)
    }
}
