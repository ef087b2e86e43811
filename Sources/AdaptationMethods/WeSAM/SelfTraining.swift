import SegmentAnything

// teacher = adapted model, weak view    -> masks m^t; no gradient
// student = adapted model, strong view  -> w_f focal + w_d dice + w_i iou against m^t

/// Self-training without an anchor: a teacher that provides targets and a student that learns them; the variant that
/// collapses in WeSAM's ablation.
public struct SelfTraining: AdaptationMethod {
    /// `self-training`.
    public static let name = "self-training"
    /// The settings.
    public let settings: SelfTrainingSettings
    /// focal, dice, iou.
    public let lossNames = MaskLossSettings.lossNames

    /// Creates the method.
    public init(_ settings: SelfTrainingSettings = .init()) { self.settings = settings }

    /// The losses of one image; their gradient is added to the context's.
    public func step(_ example: AdaptationExample, in context: inout StepContext) throws -> StepLosses {
        try example.check(for: context)
        let model = context.model
        let prompts = try EncodedPrompts(example.prompts, model, chunk: context.decoderChunk, in: context.pass)
        let targetPrompts =
            try example.teacherPrompts.map {
                try EncodedPrompts($0, model, chunk: context.decoderChunk, in: context.pass)
            } ?? prompts
        let features = model.encoder.encode(example.weak, in: context.pass)
        let round = DecoderRound(model, features, targetPrompts, keepingPass: false, in: context.pass)
        let student = StudentBranch(losses: settings.losses, masking: settings.masking)
        let (parts, _) = student.learn(
            example, from: .init(features: features, logits: round.logits), prompts: prompts, in: &context
        ) { _, _ in 0 }
        return StepLosses(parts: parts, instances: example.prompts.count)
    }
}
