import Kernels
import Layers
import SegmentAnything
import Tensors
import Testing
import TestSupport
import WeightFiles

/// Gradients of every parameter of mask decoder and prompt encoder against the official code in PyTorch.
@Suite struct GoldenParameterGradientTests {
    /// The decoder and the prompt encoder of the golden model, every parameter of theirs with a place.
    private struct Setting {
        let golden: GoldenModel
        /// The gradients of this model, from its folder.
        let reference: TensorTable
        let encoder: PromptEncoder
        let decoder: MaskDecoder
        let trained: TrainableParameters

        init() throws {
            let file = "decoder_parameter_gradients.safetensors"
            let golden = try GoldenModel(with: [file])
            reference = try golden.files.table(file)
            let recorder = ParameterRecorder()
            _ = SegmentAnythingModel(golden.configuration, recorder)
            var layout = ParameterLayout()
            layout.append(recorder.trainable, group: ParameterGroup("all"))
            let source = TrainableSource(ParameterStore(try golden.weights()), layout: layout)
            let model = SegmentAnythingModel(golden.configuration, source)
            self.golden = golden
            (encoder, decoder) = (model.promptEncoder, model.decoder)
            trained = TrainableParameters(layout: layout, values: source.initialValues)
        }
    }

    /// Three prompts share the image's projections in the first layer, two absorb them, mask prompts have an image each.
    @Test(arguments: [("boxes", 3), ("boxes_two", 2), ("points", 3), ("boxes_masks", 3)], [1, 2])
    func parametersAndEmbedding(_ prompt: (name: String, count: Int), _ threads: Int) throws {
        let setting = try Setting()
        let reference = setting.reference
        let context = PassContext(Workspace(threads: threads, fillingScratchWith: .nan), trained: setting.trained)
        let kind = prompt.name == "boxes_two" ? "boxes" : prompt.name
        let prompts = try setting.golden.prompts(kind, first: prompt.count)
        let pass = setting.decoder.decodeForTraining(
            try setting.golden.features(), position: setting.encoder.densePositionalEncoding,
            prompts: try setting.encoder.encode(prompts, in: context), masks: .all, promptsWanted: true, in: context)
        var gradients = GradientBuffer(setting.trained.layout)
        let dInputs = pass.backward(
            MaskGradients(
                logits: try reference.tensor("in.d_logits").rows(0..<prompt.count),
                iou: try reference.tensor("in.d_iou").rows(0..<prompt.count)), &gradients)
        setting.encoder.backward(try #require(dInputs.prompts), prompts, gradients: &gradients, in: context)
        expectRelativeL2(
            dInputs.features.embedding, channelLast(try reference.tensor("out.\(prompt.name).d_embedding")),
            "\(prompt.name) embedding gradient")
        var compared = 0
        for entry in setting.trained.layout.entries {
            let own = gradients.values.rows(entry.range)
            guard reference["out.\(prompt.name).grad.\(entry.name)"] != nil else {
                // No prompt of this kind reaches it, or it is a key's bias, which cancels in softmax.
                #expect(own.elements.allSatisfy { $0 == 0 }, "\(prompt.name) \(entry.name)")
                continue
            }
            let expected = try reference.tensor("out.\(prompt.name).grad.\(entry.name)")
            expectRelativeL2(own.reshaped(expected.shape), expected, "\(prompt.name) \(entry.name)")
            compared += 1
        }
        #expect(compared > 110, "\(compared) gradients compared")
    }

    /// A frozen context leaves the buffer unchanged and gives the same gradient of the embedding.
    @Test func nothingTrainsInAFrozenPass() throws {
        let setting = try Setting()
        let workspace = Workspace(threads: 2)
        func run(_ context: PassContext) throws -> (embedding: [Float], gradients: [Float]) {
            let pass = setting.decoder.decodeForTraining(
                try setting.golden.features(), position: setting.encoder.densePositionalEncoding,
                prompts: try setting.encoder.encode(setting.golden.prompts("points"), in: context), in: context)
            var gradients = GradientBuffer(setting.trained.layout)
            let dInputs = pass.backward(
                MaskGradients(
                    logits: TestValues.uniform(pass.logits.shape, "dL"), iou: TestValues.uniform(pass.iou.shape, "dI")),
                &gradients)
            #expect(dInputs.prompts == nil)
            return (dInputs.features.embedding.elements, gradients.values.elements)
        }
        let frozen = try run(PassContext(workspace))
        let trained = try run(PassContext(workspace, trained: setting.trained))
        #expect(frozen.gradients.allSatisfy { $0 == 0 } && trained.gradients.contains { $0 != 0 })
        #expect(frozen.embedding.map(\.bitPattern) == trained.embedding.map(\.bitPattern))
    }
}
