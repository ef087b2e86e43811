import Kernels
import Layers
public import SegmentAnything
import Tensors

// Three branches share one prompt set (Zhang et al., CVPR 2024, sections 3.2 and 3.3):
//   anchor  = frozen model, weak view     -> masks m^a, features; no gradient
//   teacher = adapted model, weak view    -> masks m^t; 1/2 dice(teacher, m^a) and contrast(teacher, anchor)
//   student = adapted model, strong view  -> 20 focal + dice + IoU error against m^t, and 1/2 dice(student, m^a)
// Teacher and student share only m^t = [z^t > 0], which carries no gradient, so the total splits into two losses that
// share weights alone: teacher forward and backward, release, student forward and backward. One branch is alive at a time.
//
// Beyond the paper, anchor and teacher may use another prompt of the same objects than the student (box against
// points): the student then learns to reach with its prompt what the model already achieves with the better one.

/// WeSAM: weakly supervised self-training with an anchor (the released `adaptation.py`, or the paper's losses).
public struct WeSAM: AdaptationMethod {
    /// `wesam`.
    public static let name = "wesam"
    /// The settings.
    public let settings: WeSAMSettings
    /// focal, dice, iou, anchor, contrast.
    public let lossNames = MaskLossSettings.lossNames + ["anchor", "contrast"]
    /// The anchor's features.
    public let needs = ExampleNeeds(anchor: true)

    /// Creates the method.
    public init(_ settings: WeSAMSettings = .init()) { self.settings = settings }

    /// Squares of the patches form along a side: 1,024 in all, whose similarities are a million numbers.
    private static let mostPatchesASide = 32

    /// Rejects squares of the patches form that are too few to differ or too many to compare with each other.
    public func check(for model: ModelDescription) throws(AdaptationMethodError) {
        guard case .patches(let patch) = settings.contrastForm, settings.contrastWeight > 0 else { return }
        let side = model.configuration.embeddingSide
        let squares = side / patch
        guard squares < 2 || squares > Self.mostPatchesASide else { return }
        let least = (side + Self.mostPatchesASide - 1) / Self.mostPatchesASide
        throw AdaptationMethodError(
            .settings,
            "method.patchSide=\(patch) cuts the image embedding of \(side)x\(side) cells into \(squares)x\(squares) "
                + "squares; choose \(least) to \(side / 2), for 2x2 to \(Self.mostPatchesASide)x\(Self.mostPatchesASide)"
        )
    }

    /// The anchor's results that both branches need.
    private struct Anchor {
        let features: ImageFeatures
        let logits: Tensor  // [n, 4 h, 4 w]
    }

    /// The losses of one image; their gradient is added to the context's.
    public func step(_ example: AdaptationExample, in context: inout StepContext) throws -> StepLosses {
        try example.check(for: context)
        let prompts = try EncodedPrompts(
            example.prompts, context.model, chunk: context.decoderChunk, in: context.pass)
        let targetPrompts =
            try example.teacherPrompts.map {
                try EncodedPrompts($0, context.model, chunk: context.decoderChunk, in: context.pass)
            } ?? prompts
        // Anchor and teacher share a view: its stem, which no adapter changes, is computed once.
        let stem = context.model.encoder.stem(example.weak, in: context.pass)
        let anchor = try makeAnchor(example, stem, targetPrompts, in: context)
        let teacher = teach(stem, anchor, targetPrompts, in: &context)
        let student = StudentBranch(losses: settings.losses, masking: settings.masking)
        let (model, workspace) = (context.model, context.workspace)
        let (parts, anchorLoss) = student.learn(
            example, from: teacher.target, prompts: prompts, in: &context
        ) { logits, dLogits in addAnchorLoss(logits, anchor, model, into: &dLogits, workspace) }
        return StepLosses(
            parts: parts + [
                StepLosses.Part("anchor", teacher.anchorLoss + anchorLoss, weight: settings.anchorWeight),
                StepLosses.Part("contrast", teacher.contrast, weight: settings.contrastWeight),
            ], instances: example.prompts.count)
    }

    /// The anchor's features, cached or computed, and its masks.
    private func makeAnchor(
        _ example: AdaptationExample, _ stem: EncoderStem, _ prompts: EncodedPrompts, in context: StepContext
    ) throws -> Anchor {
        let (model, frozen) = (context.model, context.frozen)
        let features = context.anchors.features { model.encoder.encode(stem, in: frozen) }
        // The frozen model needs its own prompt embeddings only if those of prompts train.
        let own =
            model.promptEncoder.trains(in: context.pass)
            ? try EncodedPrompts(
                example.teacherPrompts ?? example.prompts, model, chunk: context.decoderChunk, in: frozen) : prompts
        return Anchor(
            features: features, logits: DecoderRound(model, features, own, keepingPass: false, in: frozen).logits)
    }

    /// The teacher's forward and backward pass.
    private func teach(
        _ stem: EncoderStem, _ anchor: Anchor, _ prompts: EncodedPrompts, in context: inout StepContext
    ) -> (target: StudentBranch.Target, anchorLoss: Double, contrast: Double) {
        let model = context.model
        let pass = model.encoder.encodeForTraining(stem, in: context.pass)
        let round = DecoderRound(model, pass.features, prompts, keepingPass: context.keepsDecoderPass, in: context.pass)
        var dLogits = Tensor(zeros: round.logits.shape)
        let anchorLoss = addAnchorLoss(round.logits, anchor, model, into: &dLogits, context.workspace)
        var dFeatures = round.backward(
            dLogits, [Float](repeating: 0, count: round.iou.count), &context.gradients)
        let contrast = ContrastiveLoss(temperature: settings.temperature, form: settings.contrastForm)(
            teacher: .init(embedding: pass.embedding, logits: round.logits),
            anchor: .init(embedding: anchor.features.embedding, logits: anchor.logits),
            weight: settings.contrastWeight, addingTo: &dFeatures.embedding, in: context.workspace)
        pass.backward(dFeatures, &context.gradients)
        return (.init(features: pass.features, logits: round.logits), anchorLoss, contrast)
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
                focal: 0, inside: Float(settings.anchorWeight * slopes.inside),
                outside: Float(settings.anchorWeight * slopes.outside)), into: &dLogits, in: workspace)
        return AnchorLoss.value(total)
    }
}
