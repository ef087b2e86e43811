import Collectives
import Datasets
import Evaluation
import Foundation
import Layers
import ModelLoading
import Routing
import SegmentAnything
import Telemetry
import Training

/// A router whose tokens are trained together with its head, as the paper reads; the released code leaves them as they
/// were drawn (MoDA, Yang et al. 2024, arXiv 2412.06418, section 3.3).
extension RunPool {
    /// Tokens and head trained from new ones over the memory images of all domains so far, and the images' queries under
    /// these tokens; nil if the recipe does not ask for it. Collective: ranks share the images of a batch.
    ///
    /// Each step reads its images again and goes through the whole encoder forward and backward. Contributions are summed
    /// in the order of the batch, so every number of ranks gives the same bits.
    ///
    /// Throws `RoutingError`, and `DatasetError` for an image that can no longer be read.
    func trainedTokens() throws -> (tokens: RouterTokens, head: RouterHead, memory: [[[Float]]])? {
        let images = places.flatMap(\.self)
        let width = try training.query.width(in: ModelDescription(context.loaded.model.configuration))
        guard training.trainsTokens, let drawn = training.tokens(width: width) else { return nil }
        let labels = places.enumerated().flatMap { domain, images in images.map { _ in domain } }
        let settings = training.settings(images: images.count)
        let progress = TokenTrainingProgress(steps: settings.batches(of: images.count).count, images: images.count)
        var step = 0
        let (tokens, head, losses) = try settings.trainTokens(
            labels: labels, domains: places.count, from: drawn
        ) { batch, state in
            defer { step += 1 }
            if let line = progress.line(before: step), context.assembly.communicator.isRoot {
                context.log.message(.info, line)
            }
            return try contributions(of: batch.map { (images[$0], labels[$0]) }, to: state)
        }
        if context.assembly.communicator.isRoot { context.log.message(.info, progress.line(losses)) }
        let rows = try features(of: images, tokens: tokens, width: width)
        var (memory, first) = ([[[Float]]](), 0)
        for domain in places {
            memory.append(Array(rows[first..<first + domain.count]))
            first += domain.count
        }
        return (tokens, head, memory)
    }

    /// The contributions of a batch in its order. Collective. // B x ([D], [k D])
    private func contributions(
        of batch: [(place: Int, label: Int)], to state: RouterState
    ) throws -> [RouterContribution] {
        let communicator = context.assembly.communicator
        let own = ShardedSampler.share(
            rank: communicator.rank, worldSize: communicator.worldSize, batchSize: batch.count)
        let mine = try own.flatMap { position -> [Float] in
            communicator.activity.work(at: "training the router's tokens")
            let part = try state.contribution(
                of: try stem(of: batch[position].place), label: batch[position].label,
                in: context.loaded.model.encoder, context.assembly.workspace)
            return part.feature + part.dTokens
        }
        communicator.activity.work(at: "computing")
        let all = try communicator.allGather(floats: mine).flatMap(\.self)
        let (width, length) = (state.head.width, all.count / batch.count)
        return batch.indices.map { position in
            let row = all[position * length..<(position + 1) * length]
            return RouterContribution(feature: Array(row.prefix(width)), dTokens: Array(row.dropFirst(width)))
        }
    }
}

/// What the log says while the tokens of a router are trained.
private struct TokenTrainingProgress {
    let steps: Int
    let images: Int
    private let begin = ContinuousClock.now

    init(steps: Int, images: Int) { (self.steps, self.images) = (steps, images) }

    /// A line before some of the steps, about ten of all, with the time left; nil before the others.
    func line(before step: Int) -> String? {
        guard step > 0, step % max(1, steps / 10) == 0 else { return nil }
        let left = (ContinuousClock.now - begin) / .seconds(1) / Double(step) * Double(steps - step)
        return "router: tokens after \(step) of \(steps) steps, eta \(Int(left.rounded(.up))) s"
    }

    /// The line at the end.
    func line(_ losses: [Double]) -> String {
        let (first, last) = (losses.first ?? .nan, losses.last ?? .nan)
        return "router: tokens trained on \(images) memory images in \(steps) steps, cross entropy "
            + String(format: "%.4f to %.4f", first, last)
    }
}
