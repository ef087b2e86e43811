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
public struct WeSAM: AdaptationMethod {
    /// The settings.
    public let configuration: WeSAMConfiguration
    /// focal, dice, iou, anchor, contrast.
    public let lossNames = ["focal", "dice", "iou", "anchor", "contrast"]
    /// False makes the decoder's pass again for backward where it could have been kept, which changes no bit.
    package var keepsDecoderPass = true

    /// Creates the method.
    public init(_ configuration: WeSAMConfiguration = .init()) {
        precondition(configuration.decoderChunk > 0, "the decoder takes at least one prompt at a time")
        precondition(configuration.temperature > 0, "the contrast needs a positive temperature")
        self.configuration = configuration
    }

    /// The anchor's part that both branches need.
    private struct Anchor {
        let embedding: Tensor  // [h * w, C]
        let logits: Tensor  // [n, 4 h, 4 w]
    }

    /// What the teacher leaves behind.
    private struct TeacherOutcome {
        let logits: Tensor  // [n, 4 h, 4 w]
        let anchorLoss: Double
        let contrast: Double
    }

    /// The losses of one image; their gradient is added to `gradients`.
    public func step(
        _ example: AdaptationExample, model: SegmentAnythingModel, adapter: LoRAAdapter,
        gradients: inout GradientBuffer, in workspace: Workspace
    ) throws -> StepLosses {
        try check(example, model)
        let count = example.prompts.count
        let chunks = try encode(example.prompts, model, workspace)
        let targetChunks = try example.teacherPrompts.map { try encode($0, model, workspace) } ?? chunks
        // Anchor and teacher see the same view: its stem, which no adapter changes, is made once.
        let stem = model.encoder.stem(example.weak, in: workspace)
        let anchorEmbedding = example.anchorEmbedding ?? model.encoder.encode(stem: stem, adapter: nil, in: workspace)
        if example.anchorEmbedding == nil { example.keepAnchorEmbedding?(anchorEmbedding) }
        let anchor = Anchor(
            embedding: anchorEmbedding,
            logits: DecoderRound(model, anchorEmbedding, targetChunks, keepingPass: false, in: workspace).logits)
        let teacher = teach(stem, model, adapter, anchor, targetChunks, &gradients, workspace)
        let student = learn(example, model, adapter, anchor, teacher, chunks, &gradients, workspace)
        return StepLosses(
            parts: student.parts + [
                StepLosses.Part("anchor", teacher.anchorLoss + student.anchorLoss, weight: configuration.anchorWeight),
                StepLosses.Part("contrast", teacher.contrast, weight: configuration.contrastWeight),
            ], instances: count)
    }

    /// The embeddings of an image's prompts, chunk by chunk.
    private func encode(
        _ prompts: PromptBatch, _ model: SegmentAnythingModel, _ workspace: Workspace
    ) throws -> [PromptEmbeddings] {
        try stride(from: 0, to: prompts.count, by: configuration.decoderChunk).map { start in
            try model.promptEncoder.encode(
                prompts.objects(start..<min(start + configuration.decoderChunk, prompts.count)), in: workspace)
        }
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
        let contrast = ContrastiveLoss(temperature: configuration.temperature)(
            teacher: .init(embedding: pass.embedding, logits: round.logits),
            anchor: .init(embedding: anchor.embedding, logits: anchor.logits), weight: configuration.contrastWeight,
            addingTo: &dEmbedding, in: workspace)
        pass.backward(dEmbedding, &gradients, workspace)
        return TeacherOutcome(logits: round.logits, anchorLoss: anchorLoss, contrast: contrast)
    }

    /// The student's forward and backward pass.
    private func learn(
        _ example: AdaptationExample, _ model: SegmentAnythingModel, _ adapter: LoRAAdapter, _ anchor: Anchor,
        _ teacher: TeacherOutcome, _ chunks: [PromptEmbeddings], _ gradients: inout GradientBuffer,
        _ workspace: Workspace
    ) -> (parts: [StepLosses.Part], anchorLoss: Double) {
        let pass = model.encoder.encodeForTraining(
            example.strong, adapter: adapter, recompute: configuration.recompute, in: workspace)
        let round = DecoderRound(model, pass.embedding, chunks, keepingPass: keepsDecoderPass, in: workspace)
        let canvas = model.encoder.imageSize
        let sums = MaskLossKernel.sums(
            round.logits, target: .logits(teacher.logits), canvas: canvas, threshold: IoULoss.logitThreshold,
            in: workspace)
        let total = Self.total(sums)
        let pixels = round.iou.count * canvas * canvas
        let focal = FocalLoss(configuration.lossForm, maskCount: example.maskCount)
        let dice = DiceLoss(configuration.lossForm, maskCount: example.maskCount)
        let slopes = dice.slopes(total)
        var dLogits = Tensor(zeros: round.logits.shape)
        MaskLossKernel.addGradient(
            round.logits, target: .logits(teacher.logits), canvas: canvas,
            slopes: .init(
                focal: Float(configuration.focalWeight * focal.slope(pixels: pixels)),
                inside: Float(configuration.diceWeight * slopes.inside),
                outside: Float(configuration.diceWeight * slopes.outside)), into: &dLogits, in: workspace)
        let anchorLoss = addAnchorLoss(round.logits, anchor, model, into: &dLogits, workspace)
        let dIoU = IoULoss.gradient(round.iou, sums, maskCount: example.maskCount).map {
            Float(configuration.iouWeight * $0)
        }
        let dEmbedding = round.backward(dLogits, dIoU, in: workspace)
        pass.backward(dEmbedding, &gradients, workspace)
        let iou = IoULoss.value(round.iou, sums, maskCount: example.maskCount)
        return (
            [
                StepLosses.Part("focal", focal.value(total, pixels: pixels), weight: configuration.focalWeight),
                StepLosses.Part("dice", dice.value(total), weight: configuration.diceWeight),
                StepLosses.Part("iou", iou, weight: configuration.iouWeight),
            ], anchorLoss
        )
    }

    /// A branch's half of the anchor loss; its weighted gradient is added to dLogits.
    private func addAnchorLoss(
        _ logits: Tensor, _ anchor: Anchor, _ model: SegmentAnythingModel, into dLogits: inout Tensor,
        _ workspace: Workspace
    ) -> Double {
        let canvas = model.encoder.imageSize
        let total = Self.total(
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

    /// Refuses an example that was prepared for another model.
    private func check(_ example: AdaptationExample, _ model: SegmentAnythingModel) throws(AdaptationMethodError) {
        let input: Shape = [model.encoder.imageSize, model.encoder.imageSize, 3]
        for (name, view) in [("weak", example.weak), ("strong", example.strong)] where view.shape != input {
            throw AdaptationMethodError(
                .example, "the \(name) view has shape \(view.shape), the model takes \(input); resize it")
        }
        if let targets = example.teacherPrompts, targets.count != example.prompts.count {
            throw AdaptationMethodError(
                .example,
                "\(targets.count) prompts for the teacher and \(example.prompts.count) for the student; give each object one"
            )
        }
        let embedding: Shape = [
            model.encoder.embeddingSide * model.encoder.embeddingSide, model.encoder.embeddingWidth,
        ]
        if let kept = example.anchorEmbedding, kept.shape != embedding {
            throw AdaptationMethodError(
                .example,
                "the kept anchor embedding has shape \(kept.shape), the model's is \(embedding); make it again")
        }
        guard example.maskCount >= example.prompts.count else {
            throw AdaptationMethodError(
                .example,
                "\(example.maskCount) masks in a batch with \(example.prompts.count) in one image; count all images")
        }
    }

    /// The sums over all instances, in their order.
    private static func total(_ sums: [MaskLossKernel.Sums]) -> MaskLossKernel.Sums {
        var total = MaskLossKernel.Sums()
        for instance in sums { total.add(instance) }
        return total
    }
}
