import Foundation
import Testing
import TestSupport
import WeightFiles

/// Folders in the layout of the golden files with another model, or with one that does not fit.
@Suite struct GoldenFolderTests {
    private static let model = "model.safetensors"
    private static let gradients = "decoder_gradients.safetensors"
    private static let masks = "automatic_masks.json"

    private func fixture(_ name: String) throws -> Data {
        try GoldenFiles([name], in: .module, given: nil).data(name)
    }

    /// A folder with the small model, in whose header texts are replaced by others of the same length.
    private func folder(_ replacements: [(String, String)] = [], and others: [String] = []) throws -> TemporaryFolder {
        let folder = try TemporaryFolder("golden")
        var bytes = try fixture(Self.model)
        for (text, other) in replacements {
            try #require(text.utf8.count == other.utf8.count)
            let range = try #require(bytes.range(of: Data(text.utf8)))
            bytes.replaceSubrange(range, with: Data(other.utf8))
        }
        try bytes.write(to: URL(fileURLWithPath: folder.path + "/" + Self.model))
        for name in others { try fixture(name).write(to: URL(fileURLWithPath: folder.path + "/" + name)) }
        return folder
    }

    @Test func modelAndReferenceAreOfOneFolder() throws {
        let alone = try folder()
        defer { withExtendedLifetime(alone) {} }
        #expect(try GoldenModel(given: alone.path).files.folder == alone.path)
        for reference in [Self.gradients, Self.masks] {
            #expect(try GoldenModel(with: [reference], given: alone.path).files.folder != alone.path)
            let whole = try folder(and: [reference])
            defer { withExtendedLifetime(whole) {} }
            #expect(try GoldenModel(with: [reference], given: whole.path).files.folder == whole.path)
        }
        #expect(throws: GoldenError.self) { try GoldenFiles([Self.model, "nobody.json"], in: .module) }
    }

    @Test func missingTensorIsAnErrorThatNamesIt() throws {
        let name = "mask_decoder.iou_token.weight"
        // The folder exists as long as its value.
        let changed = try folder([("weights.\(name)", "weights.mask_decoder.iou_token.weighx")])
        defer { withExtendedLifetime(changed) {} }
        let golden = try GoldenModel(given: changed.path)
        for build in [{ _ = try golden.weights() }, { _ = try golden.maskDecoder() }] {
            #expect { try build() } throws: { "\($0)".contains("1 missing: \(name)") }
        }
        _ = try golden.promptEncoder()
    }

    @Test func misshapenTensorsAreErrorsThatNameThem() throws {
        let changed = try folder([(#"\"img\": 128"#, #"\"img\": 144"#)])
        defer { withExtendedLifetime(changed) {} }
        let golden = try GoldenModel(given: changed.path)
        #expect { try golden.imageEncoder() } throws: {
            "\($0)".contains("image_encoder.pos_embed is [1, 8, 8, 32] instead of [1, 9, 9, 32]")
        }
        #expect { try golden.features() } throws: {
            "\($0)".contains("out.embedding has shape [2, 32, 8, 8], expected [any, 32, 9, 9]")
        }
        #expect { try golden.prompts("masks") } throws: { "\($0)".contains("in.masks") }
        #expect { try golden.prompts("boxes", first: 4) } throws: { "\($0)".contains("expected 4") }
    }

    @Test(arguments: [
        (#"\"img\": 128"#, #"\"img\": 120"#, "img 120"), (#"\"heads\": 2"#, #"\"heads\": 3"#, "heads 3"),
        (#"\"glob\": [1, 3]"#, #"\"glob\": [1, 4]"#, "glob [1, 4]"), (#"\"dim\": 32"#, #"\"dim\": -2"#, "positive"),
    ])
    func sizesOfNoModelAreErrors(_ text: String, _ other: String, _ named: String) throws {
        let folder = try folder([(text, other)])
        #expect { try GoldenModel(given: folder.path) } throws: { "\($0)".contains(named) }
    }
}
