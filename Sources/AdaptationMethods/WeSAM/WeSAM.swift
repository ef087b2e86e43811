public import Kernels
public import Layers
public import LowRankAdaptation
public import SegmentAnything
import Tensors

// Three branches share one prompt set (Zhang et al., CVPR 2024; spec sections 6.1 and 6.2):
//   anchor  = base model, weak view       -> masks m^a, features; no gradient
//   teacher = base + LoRA, weak view      -> masks m^t; 1/2 dice(teacher, m^a) and contrast(teacher, anchor)
//   student = base + LoRA, strong view    -> 20 focal + dice + IoU error against m^t, and 1/2 dice(student, m^a)
// Teacher and student meet only in m^t = [z^t > 0], which carries no gradient, so the total splits into two losses that
// share weights alone: teacher forward and backward, release, student forward and backward. One branch is alive at a time.
//
// Beyond the paper, anchor and teacher may take another prompt of the same objects than the student (box against points):
// then the student learns to reach with its prompt what the model already does with the better one.

/// WeSAM: weakly supervised self-training with an anchor (the released `adaptation.py`, or the paper's losses).
///
/// Without the anchor it is plain self-training: no anchor branch, no contrast, and a teacher that only gives targets.
public struct WeSAM: AdaptationMethod {
    /// The settings.
    public let configuration: WeSAMConfiguration
    /// focal, dice, iou, and with an anchor also anchor, contrast.
    public var lossNames: [String] {
        MaskSupervision.lossNames + (configuration.hasAnchor ? ["anchor", "contrast"] : [])
    }
    /// Whether the anchor's embedding of an image is asked for.
    public var usesAnchor: Bool { configuration.hasAnchor }
    /// False makes the decoder's pass again for backward where it could have been kept, which changes no bit.
    package var keepsDecoderPass = true

    /// Creates the method.
    public init(_ configuration: WeSAMConfiguration = .init()) {
        precondition(configuration.decoderChunk > 0, "the decoder takes at least one prompt at a time")
        precondition(configuration.temperature > 0, "the contrast needs a positive temperature")
        precondition((0..<1).contains(configuration.maskRatio), "a student that sees nothing learns nothing")
        self.configuration = configuration
    }

    /// The anchor's part that both branches need.
    private struct Anchor {
        let embedding: Tensor  // [h * w, C]
        let logits: Tensor  // [n, 4 h, 4 w]
    }

    /// What the teacher leaves behind.
    private struct TeacherOutcome {
        /// Features that stand in for what the student does not see, as numbers without a gradient.
        let embedding: Tensor  // [h * w, C]
        let logits: Tensor  // [n, 4 h, 4 w]
        let anchorLoss: Double
        let contrast: Double
    }

    /// The losses of one image; their gradient is added to `gradients`.
    public func step(
        _ example: AdaptationExample, model: SegmentAnythingModel, adapter: LoRAAdapter,
        gradients: inout GradientBuffer, in workspace: Workspace
    ) throws -> StepLosses {
        try example.check(for: model)
        func encode(_ prompts: PromptBatch) throws -> [PromptEmbeddings] {
            try model.promptEncoder.encode(prompts, chunk: configuration.decoderChunk, in: workspace)
        }
        let count = example.prompts.count
        let chunks = try encode(example.prompts)
        let targetChunks = try example.teacherPrompts.map(encode) ?? chunks
        // Anchor and teacher see the same view: its stem, which no adapter changes, is made once.
        let stem = model.encoder.stem(example.weak, in: workspace)
        let anchor = configuration.hasAnchor ? makeAnchor(example, stem, model, targetChunks, workspace) : nil
        let teacher =
            anchor.map { teach(stem, model, adapter, $0, targetChunks, &gradients, workspace) }
            ?? target(stem, model, adapter, targetChunks, workspace)
        let student = learn(example, model, adapter, anchor, teacher, chunks, &gradients, workspace)
        guard configuration.hasAnchor else { return StepLosses(parts: student.parts, instances: count) }
        return StepLosses(
            parts: student.parts + [
                StepLosses.Part("anchor", teacher.anchorLoss + student.anchorLoss, weight: configuration.anchorWeight),
                StepLosses.Part("contrast", teacher.contrast, weight: configuration.contrastWeight),
            ], instances: count)
    }

    /// The anchor's embedding, kept or made, and its masks.
    private func makeAnchor(
        _ example: AdaptationExample, _ stem: Tensor, _ model: SegmentAnythingModel, _ chunks: [PromptEmbeddings],
        _ workspace: Workspace
    ) -> Anchor {
        let embedding = example.anchorEmbedding ?? model.encoder.encode(stem: stem, adapter: nil, in: workspace)
        if example.anchorEmbedding == nil { example.keepAnchorEmbedding?(embedding) }
        return Anchor(
            embedding: embedding,
            logits: DecoderRound(model, embedding, chunks, keepingPass: false, in: workspace).logits)
    }

    /// A teacher that has nothing to learn: its masks alone.
    private func target(
        _ stem: Tensor, _ model: SegmentAnythingModel, _ adapter: LoRAAdapter, _ chunks: [PromptEmbeddings],
        _ workspace: Workspace
    ) -> TeacherOutcome {
        let embedding = model.encoder.encode(stem: stem, adapter: adapter, in: workspace)
        let round = DecoderRound(model, embedding, chunks, keepingPass: false, in: workspace)
        return TeacherOutcome(embedding: embedding, logits: round.logits, anchorLoss: 0, contrast: 0)
    }

    /// The teacher's forward and backward pass.
    private func teach(
        _ stem: Tensor, _ model: SegmentAnythingModel, _ adapter: LoRAAdapter, _ anchor: Anchor,
        _ chunks: [PromptEmbeddings], _ gradients: inout GradientBuffer, _ workspace: Workspace
    ) -> TeacherOutcome {
        let pass = model.encoder.encodeForTraining(
            stem: stem, adapter: adapter, recompute: configuration.recompute, in: workspace)
        let round = DecoderRound(model, pass.embedding, chunks, keepingPass: keepsDecoderPass, in: workspace)
        var dLogits = Tensor(zeros: round.logits.shape)
        let anchorLoss = addAnchorLoss(round.logits, anchor, model, into: &dLogits, workspace)
        var dEmbedding = round.backward(dLogits, [Float](repeating: 0, count: round.iou.count), in: workspace)
        let contrast = ContrastiveLoss(temperature: configuration.temperature, form: configuration.contrast)(
            teacher: .init(embedding: pass.embedding, logits: round.logits),
            anchor: .init(embedding: anchor.embedding, logits: anchor.logits), weight: configuration.contrastWeight,
            addingTo: &dEmbedding, in: workspace)
        pass.backward(dEmbedding, &gradients, workspace)
        return TeacherOutcome(
            embedding: pass.embedding, logits: round.logits, anchorLoss: anchorLoss, contrast: contrast)
    }

    /// The student's forward and backward pass.
    private func learn(
        _ example: AdaptationExample, _ model: SegmentAnythingModel, _ adapter: LoRAAdapter, _ anchor: Anchor?,
        _ teacher: TeacherOutcome, _ chunks: [PromptEmbeddings], _ gradients: inout GradientBuffer,
        _ workspace: Workspace
    ) -> (parts: [StepLosses.Part], anchorLoss: Double) {
        let masking =
            configuration.maskRatio > 0
            ? StudentMasking(
                side: model.encoder.embeddingSide, block: configuration.maskBlock, ratio: configuration.maskRatio,
                random: example.random) : nil
        let pass = model.encoder.encodeForTraining(
            masking?.hide(example.strong) ?? example.strong, adapter: adapter, recompute: configuration.recompute,
            in: workspace)
        let round = DecoderRound(
            model, masking?.fill(pass.embedding, with: teacher.embedding) ?? pass.embedding, chunks,
            keepingPass: keepsDecoderPass, in: workspace)
        var dLogits = Tensor(zeros: round.logits.shape)
        let supervision = MaskSupervision(
            configuration: configuration, maskCount: example.maskCount, canvas: model.encoder.imageSize)
        let (parts, dIoU) = supervision(
            round, target: .logits(teacher.logits), addingTo: &dLogits, in: workspace)
        let anchorLoss = anchor.map { addAnchorLoss(round.logits, $0, model, into: &dLogits, workspace) } ?? 0
        let dFilled = round.backward(dLogits, dIoU, in: workspace)
        pass.backward(masking?.gradient(dFilled) ?? dFilled, &gradients, workspace)
        return (parts, anchorLoss)
    }

    /// A branch's half of the anchor loss; its weighted gradient is added to dLogits.
    private func addAnchorLoss(
        _ logits: Tensor, _ anchor: Anchor, _ model: SegmentAnythingModel, into dLogits: inout Tensor,
        _ workspace: Workspace
    ) -> Double {
        let canvas = model.encoder.imageSize
        let total = MaskLossKernel.Sums.total(
            MaskLossKernel.sums(
                logits, target: .logits(anchor.logits), canvas: canvas, threshold: IoULoss.logitThreshold,
                includingFocal: false, in: workspace))
        let slopes = AnchorLoss.slopes(total)
        MaskLossKernel.addGradient(
            logits, target: .logits(anchor.logits), canvas: canvas,
            slopes: .init(
                focal: 0, inside: Float(configuration.anchorWeight * slopes.inside),
                outside: Float(configuration.anchorWeight * slopes.outside)), into: &dLogits, in: workspace)
        return AnchorLoss.value(total)
    }
}
