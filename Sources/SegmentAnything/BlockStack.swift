import Kernels
import Layers
import Tensors

// After the stem, both families of encoders are stages of blocks, in TinyViT with a merging before a stage, and a neck:
//   x_b = x + values of block input adapters,   x' = block(x_b) with projection adapters,   embedding = neck(x)
// Backward ends at the lowest block with an active trained adapter: nothing below it keeps residuals. Where weights of the
// encoder itself train, it goes through all blocks and, if the stem trains too, on into the stem.

/// The blocks and the neck of an image encoder, with the sites at which adapters act.
struct BlockStack: Sendable {
    /// Blocks on one grid, and the merging from the grid below.
    struct Stage: Sendable {
        let merging: TinyViTPatchMerging?
        let blocks: [EncoderBlock]
    }

    let stages: [Stage]
    let neck: EncoderNeck
    /// One for each block.
    let projectionSites: [ProjectionSite]
    /// One for each block.
    let blockSites: [BlockSite]
    /// Whether weights of blocks or neck have places among the trained values.
    let canTrain: Bool

    /// Continues backward below the first block, given the gradient of its input. // [T, D]
    typealias StemBackward = (_ dTokens: Tensor, _ gradients: inout GradientBuffer) -> Void

    init(stages: [Stage], neck: EncoderNeck) {
        (self.stages, self.neck) = (stages, neck)
        projectionSites = stages.flatMap { $0.blocks.map(\.attention.site) }
        blockSites = stages.flatMap { $0.blocks.map(\.site) }
        canTrain = neck.canTrain || stages.contains { $0.blocks.contains(where: \.canTrain) }
    }

    /// The residuals of a stage.
    private struct StageResiduals {
        var merging: TinyViTPatchMerging.Residuals?
        /// Nil below the lowest block that backward reaches.
        var blocks: [KeptBlock<EncoderBlock.Residuals>?] = []
    }

    /// The features without residuals. // [T, D] -> [h * w, C]
    func encode(_ stem: EncoderStem, _ request: EncoderRequest, in context: PassContext) -> ImageFeatures {
        context.counter?.encoderForwards += 1
        let inputs = BlockInputs(stem, context)
        var taps: [ImageFeatures.Tap] = []
        var x = stem.tokens
        for stage in stages {
            if let merging = stage.merging { x = merging(x, in: context) }
            for block in stage.blocks {
                request.note(.input(of: block.site.index), x, in: &taps)
                inputs.add(at: block.site, to: &x)
                x = block(x, in: context)
                request.note(.output(of: block.site.index), x, in: &taps)
            }
        }
        return ImageFeatures(embedding: neck(x, in: context), taps: taps)
    }

    /// The features and their backward pass. // [T, D] -> [h * w, C]
    ///
    /// - Parameter stemBackward: What continues backward in the stem, if it trains.
    func encodeForTraining(
        _ stem: EncoderStem, _ request: EncoderRequest, in context: PassContext, stemBackward: StemBackward? = nil
    ) -> EncoderPass {
        guard let lowest = stemBackward == nil ? lowestTrained(context) : 0 else {
            return EncoderPass(features: encode(stem, request, in: context)) { _, _ in }
        }
        context.counter?.encoderForwards += 1
        let inputs = BlockInputs(stem, context)
        var taps: [ImageFeatures.Tap] = []
        var saved: [StageResiduals] = []
        var x = stem.tokens
        for stage in stages {
            var kept = StageResiduals()
            if let merging = stage.merging {
                if let first = stage.blocks.first, first.site.index <= lowest {
                    x = merging(x, in: context)
                } else {
                    (x, kept.merging) = merging.forward(x, in: context)
                }
            }
            for block in stage.blocks {
                request.note(.input(of: block.site.index), x, in: &taps)
                inputs.add(at: block.site, to: &x)
                if block.site.index < lowest {
                    x = block(x, in: context)
                    kept.blocks.append(nil)
                } else {
                    let (y, residuals) = block.forward(x, in: context)
                    x = y
                    kept.blocks.append(residuals)
                }
                request.note(.output(of: block.site.index), x, in: &taps)
            }
            saved.append(kept)
        }
        let (embedding, neckSaved) = neck.forward(x, in: context)
        return EncoderPass(features: ImageFeatures(embedding: embedding, taps: taps)) {
            [self, saved] dFeatures, gradients in
            context.counter?.encoderBackwards += 1
            let dX = neck.backward(dFeatures.embedding, neckSaved, gradients: &gradients, in: context)
            let end = Descent(lowest: lowest, goesOn: stemBackward != nil)
            let dTokens = backward(dX, dFeatures, saved, inputs, until: end, &gradients, in: context)
            if let stemBackward, let dTokens { stemBackward(dTokens, &gradients) }
        }
    }

    /// How far backward goes: to the lowest block that trains, or on to the tokens of the stem.
    private struct Descent {
        let lowest: Int
        let goesOn: Bool
    }

    /// From the gradient of the last block's output down to the lowest block that trains; the gradient of its input, if
    /// backward goes on.
    private func backward(
        _ dOutput: Tensor, _ dFeatures: FeatureGradients, _ saved: [StageResiduals], _ inputs: BlockInputs,
        until end: Descent, _ gradients: inout GradientBuffer, in context: PassContext
    ) -> Tensor? {
        var dX = dOutput
        var dShared = inputs.noGradients
        stages: for (stage, kept) in zip(stages, saved).reversed() {
            for (block, residuals) in zip(stage.blocks, kept.blocks).reversed() {
                guard let residuals else { break stages }
                let index = block.site.index
                dFeatures.addTap(.output(of: index), to: &dX, in: context.workspace)
                let below = block.backward(
                    dX, residuals, gradients: &gradients,
                    inputNeeded: index > end.lowest || canTrain || end.goesOn || !inputs.isEmpty, in: context)
                guard let below else { break stages }
                dX = below
                inputs.backward(at: block.site, dX, addingTo: &dShared, &gradients)
                dFeatures.addTap(.input(of: index), to: &dX, in: context.workspace)
            }
            guard let merging = stage.merging, let mergingSaved = kept.merging else { break }
            dX = merging.backward(dX, mergingSaved, in: context)
        }
        inputs.finish(dShared, &gradients)
        return end.goesOn ? dX : nil
    }

    /// Extra tokens and the image's as one sequence through all blocks, without residuals. // [k, D] -> [k, D]
    func encodeTokens(_ tokens: Tensor, _ stem: EncoderStem, in context: PassContext) -> Tensor {
        context.counter?.encoderForwards += 1
        var x = sequence(tokens, stem)
        for block in blocks(over: x.shape[0]) { x = block(x, in: context) }
        return x.rows(0..<tokens.shape[0])
    }

    /// The same with the backward pass; keeps the input of each block, T + k rows of D numbers. // [k, D] -> [k, D]
    func encodeTokensForTraining(_ tokens: Tensor, _ stem: EncoderStem, in context: PassContext) -> TokenPass {
        context.counter?.encoderForwards += 1
        let count = tokens.shape[0]
        var x = sequence(tokens, stem)
        let shape = x.shape
        let blocks = blocks(over: shape[0])
        var saved: [KeptBlock<EncoderBlock.Residuals>] = []
        for block in blocks {
            saved.append(.input(x))
            x = block(x, in: context)
        }
        return TokenPass(tokens: x.rows(0..<count)) { dTokens, gradients in
            context.counter?.encoderBackwards += 1
            // The image's rows after the last block are discarded.
            var dX = Tensor(zeros: shape)
            dX.mutablePointer.update(from: dTokens.pointer, count: dTokens.count)
            for (block, residuals) in zip(blocks, saved).reversed() {
                dX =
                    block.backward(dX, residuals, gradients: &gradients, inputNeeded: true, in: context)
                    ?? Tensor(zeros: shape)
            }
            return dX.rows(0..<count)
        }
    }

    /// Extra tokens, then the image's. // [k, D], [T, D] -> [k + T, D]
    private func sequence(_ tokens: Tensor, _ stem: EncoderStem) -> Tensor {
        var x = Tensor(uninitialized: [tokens.shape[0] + stem.tokens.shape[0], tokens.shape[1]])
        let start = x.mutablePointer
        start.update(from: tokens.pointer, count: tokens.count)
        (start + tokens.count).update(from: stem.tokens.pointer, count: stem.tokens.count)
        return x
    }

    /// All blocks, over one sequence of rows.
    private func blocks(over rows: Int) -> [EncoderBlock] {
        stages.flatMap(\.blocks).map { $0.overSequence(of: rows) }
    }

    /// The lowest block that backward must reach; nil when nothing inside the encoder trains.
    private func lowestTrained(_ context: PassContext) -> Int? {
        let adapters = context.adapters
        guard context.trained != nil, canTrain || adapters.trainsInEncoder else { return nil }
        if canTrain || !adapters.blockInputs.isEmpty { return 0 }
        return projectionSites.first { site in adapters.projections.contains { $0.acts(at: site) } }?.index
    }
}

extension EncoderRequest {
    /// Keeps tokens if they are requested.
    fileprivate func note(_ site: TapSite, _ tokens: Tensor, in taps: inout [ImageFeatures.Tap]) {
        if self.taps.contains(site) { taps.append(.init(site, tokens: tokens)) }
    }
}

extension FeatureGradients {
    /// Adds the gradient of tapped tokens, if there is one, to that of the same tokens by their other use.
    fileprivate func addTap(_ site: TapSite, to dX: inout Tensor, in workspace: Workspace) {
        if let dTap = tap(site) { ElementwiseKernel.accumulate(dTap, into: &dX, in: workspace) }
    }
}

/// The block input adapters of a pass and the values each of them computed from the image.
private struct BlockInputs {
    private let context: PassContext
    private let stem: EncoderStem
    /// Each adapter's values shared by its blocks.
    private let shared: [[Tensor]]

    init(_ stem: EncoderStem, _ context: PassContext) {
        (self.stem, self.context) = (stem, context)
        shared = context.adapters.blockInputs.map { $0.prepare(stem, in: context) }
    }

    var isEmpty: Bool { shared.isEmpty }
    var noGradients: [[Tensor]] { shared.map { _ in [] } }

    func add(at site: BlockSite, to x: inout Tensor) {
        for (adapter, own) in zip(context.adapters.blockInputs, shared) {
            adapter.forward(at: site, own, addingTo: &x, in: context)
        }
    }

    func backward(
        at site: BlockSite, _ dX: Tensor, addingTo dShared: inout [[Tensor]], _ gradients: inout GradientBuffer
    ) {
        for (index, adapter) in context.adapters.blockInputs.enumerated() {
            adapter.backward(
                at: site, dX, shared[index], addingTo: &dShared[index], gradients: &gradients, in: context)
        }
    }

    func finish(_ dShared: [[Tensor]], _ gradients: inout GradientBuffer) {
        for (index, adapter) in context.adapters.blockInputs.enumerated() {
            adapter.finish(dShared[index], shared[index], stem: stem, gradients: &gradients, in: context)
        }
    }
}
