import Foundation
import SegmentAnything
import Tensors
import Testing
import TestSupport
import WeightFiles

/// The catalog, and the files that repeat it for those who cannot run Kedge: `KEDGE_UPDATE_REFERENCE=1` writes them.
@Suite struct ModelCatalogTests {
    private static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()
    private static var updates: Bool { ProcessInfo.processInfo.environment["KEDGE_UPDATE_REFERENCE"] == "1" }

    /// Users' recipes, checkpoints and adapters contain these names.
    @Test func namesAreFrozen() throws {
        #expect(BaseModel.allCases.map(\.name) == ["mobilesam", "litemedsam", "vit_b", "vit_l", "vit_h", "tiny"])
        for model in ModelCatalog.models {
            #expect(BaseModel(rawValue: model.name) == model)
            #expect(try JSONDecoder().decode([BaseModel].self, from: JSONEncoder().encode([model])) == [model])
        }
        #expect(String(decoding: try JSONEncoder().encode([BaseModel.vitB]), as: UTF8.self) == #"["vit_b"]"#)
        #expect(BaseModel(rawValue: "vit_x") == nil)
        #expect(throws: DecodingError.self) {
            try JSONDecoder().decode([BaseModel].self, from: Data(#"["vit_x"]"#.utf8))
        }
    }

    @Test func everyFileIsDescribedInFullAndOnce() {
        let published = ModelCatalog.models.compactMap(\.weights)
        #expect(Set(published.map(\.file)).count == published.count)
        #expect(Set(published.map(\.digest)).count == published.count)
        // scripts/fetch-weights takes both kinds of name.
        let names = ModelCatalog.models.flatMap { [$0.name, $0.weights?.fetchName ?? $0.name] }
        #expect(Set(names).count == Set(ModelCatalog.models.map(\.name)).union(published.map(\.fetchName)).count)
        for weights in published {
            #expect(weights.digest.count == 64 && weights.digest.allSatisfy { $0.isHexDigit && !$0.isUppercase })
            #expect(weights.bytes > 0)
        }
        for model in ModelCatalog.models { #expect(!model.prompts.isEmpty && !model.title.isEmpty) }
    }

    /// The signature of a model's own tensors fits that model and no other published one.
    @Test func everyArchitectureIsRecognised() throws {
        let marks = [".pos_embed", ".patch_embed.", "image_encoder.neck.0.weight", ".attn.rel_pos_h"]
        for model in ModelCatalog.models {
            let shapes = SegmentAnythingModel.parameterShapes(model.configuration).filter { name, _ in
                name.hasPrefix("image_encoder.") && marks.contains { name.contains($0) }
            }
            let bytes = try SafetensorsFile.encode(shapes.map { TensorToWrite($0.name, Tensor(zeros: $0.shape)) })
            let identity = try WeightDialect.detect(try SafetensorsFile.read(bytes: bytes))
            #expect(model.fits(identity.encoder), "\(model.name): \(identity)")
            #expect(ModelCatalog.published(identity.encoder) == (model.weights == nil ? [] : [model]), "\(model.name)")
        }
    }

    /// The table that `scripts/fetch-weights` reads before there is a build.
    @Test func fetchTableIsCurrent() throws {
        let file = Self.root.appendingPathComponent("scripts/models.tsv")
        if Self.updates { try ModelCatalog.fetchTable.write(to: file, atomically: true, encoding: .utf8) }
        #expect(try String(contentsOf: file, encoding: .utf8) == ModelCatalog.fetchTable)
        for line in ModelCatalog.fetchTable.split(separator: "\n").dropFirst() {
            #expect(line.split(separator: "\t", omittingEmptySubsequences: false).count == 9)
        }
    }

    @Test func tableOfTheDocumentsIsCurrent() throws {
        let file = Self.root.appendingPathComponent("docs/reference/models.md")
        let text = try String(contentsOf: file, encoding: .utf8)
        let start = try #require(text.range(of: "| `model.kind` |"))
        let end = try #require(text.range(of: "\n\n", range: start.lowerBound..<text.endIndex))
        let rows = ModelCatalog.models.map { model in
            let name = "`\(model.name)`" + (model == ModelCatalog.standard ? " (default)" : "")
            let file = model.weights.map { "`\($0.fetchName)` | \($0.size)" } ?? "none: \(model.title) | "
            let prompts = model.prompts.map(\.plural).joined(separator: ", ")
            return "| \(name) | \(file) | \(model.configuration.imageSize) pixels | \(prompts) |"
        }
        let table =
            (["| `model.kind` | `scripts/fetch-weights` | size | input | prompts |", "|---|---|---|---|---|"] + rows)
            .joined(separator: "\n")
        if Self.updates {
            try text.replacingCharacters(in: start.lowerBound..<end.lowerBound, with: table)
                .write(to: file, atomically: true, encoding: .utf8)
        } else {
            #expect(text[start.lowerBound..<end.lowerBound] == table)
        }
    }

    @Test func listingFitsATerminalAndSaysWhatIsThere() throws {
        let listing = ModelCatalog.listing { path in
            path.hasSuffix("/mobile_sam.pt") ? 40_728_226 : path.hasSuffix("/lite_medsam.pth") ? 7 : nil
        }
        let lines = listing.split(separator: "\n").map(String.init)
        #expect(lines.count == ModelCatalog.models.count + 1 && lines.allSatisfy { $0.count <= 80 })
        func ends(_ name: String, _ words: String) -> Bool {
            lines.contains { $0.hasPrefix(name + " ") && $0.hasSuffix(words) }
        }
        #expect(ends("mobilesam", "39 MiB   1024  box point mask  there"))
        #expect(ends("litemedsam", "38 MiB    256  box             differs"))
        #expect(ends("vit_l", "1.2 GiB   1024  box point mask  missing"))
        #expect(ends("tiny", "-    128  box point mask  -"))
    }

    /// Downloaded files have the sizes and digests of the catalog.
    @Test func filesAreThoseOfTheCatalog() throws {
        let folder =
            ProcessInfo.processInfo.environment["KEDGE_WEIGHTS_DIR"] ?? Self.root.appendingPathComponent("weights").path
        for weights in ModelCatalog.models.compactMap(\.weights) {
            let path = folder + "/" + weights.file
            guard FileManager.default.fileExists(atPath: path) else {
                print("ModelCatalogTests: \(path) is missing; not checked")
                continue
            }
            #expect(try FileManager.default.attributesOfItem(atPath: path)[.size] as? Int == weights.bytes, "\(path)")
            #expect(try FileDigest.sha256(of: path) == weights.digest, "\(path)")
        }
    }
}
