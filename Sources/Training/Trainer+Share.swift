import AdaptationMethods
import Adapters
import Collectives
import Datasets
import Evaluation
import FaultInjection
import Foundation
import Interaction
import Kernels
import Layers
import SegmentAnything
import Tensors

extension Trainer {
    /// What a rank has computed of a batch, beside the gradients.
    struct Share {
        var records: [SampleRecord] = []
        var findings = SampleFindings()
        var own = (samples: 0, instances: 0, anchorsReused: 0)
    }

    /// Computes the losses of this rank's part of a batch; its gradients go into the slab. Collective if images vote.
    func computeShare(
        _ batchSize: Int, epoch: Int, step: Int, from source: SamplePrefetcher<SampleRequest, ReadSample>,
        _ stopwatch: inout Stopwatch
    ) throws -> Share {
        // The number of samples depends only on the ranks; the schedule of the requests determines which ones.
        let count = ShardedSampler.share(
            rank: communicator.rank, worldSize: communicator.worldSize, batchSize: batchSize
        ).count
        var share = Share()
        slab.begin(batchSize: batchSize)
        func next() throws -> ReadSample {
            communicator.activity.work(at: "reading images")
            let next = try source.next()
            communicator.activity.work(at: "computing")
            stopwatch.lap(\.wait)
            guard let sample = next else { preconditionFailure("the schedule ended before step \(step)") }
            precondition(
                (sample.request.epoch, sample.request.step) == (epoch, step),
                "the schedule and the loop are at different steps")
            return sample
        }
        guard method.votes else {
            for _ in 0..<count {
                try compute(try next(), into: &share)
                stopwatch.lap(\.compute)
            }
            return share
        }
        let samples = try (0..<count).map { _ in try next() }
        let own = try samples.map { try vote(of: $0) }
        stopwatch.lap(\.compute)
        let votes = try communicator.allGather(bytes: Array(try JSONEncoder().encode(own.flatMap(\.numbers)))).flatMap {
            try JSONDecoder().decode([Int].self, from: Data($0))
        }
        stopwatch.lap(\.peers)
        for (sample, vote) in zip(samples, own) { try compute(sample, votes, vote.features, into: &share) }
        stopwatch.lap(\.compute)
        return share
    }

    /// What a sample tells the others of its batch; nothing without a training signal.
    private func vote(of sample: ReadSample) throws -> Vote {
        guard case .prepared(let prepared) = sample, prepared.example.prompts.count > 0 else {
            return Vote(numbers: [])
        }
        return try method.vote(
            try Self.input(of: prepared.example), in: stepContext(prepared.anchorFeatures(anchors)))
    }

    private func stepContext(_ anchor: AnchorFeatures) -> StepContext {
        var context = StepContext(
            adapted, decoderChunk: settings.passes.decoderChunk, recompute: settings.passes.recompute, anchors: anchor,
            in: workspace)
        context.stage = stage
        return context
    }

    /// A prepared example as methods read it.
    private static func input(of example: TrainingExample) throws -> AdaptationExample {
        let instances = 0..<example.prompts.count
        var input = AdaptationExample(
            weak: example.weak, strong: example.strong, prompts: try PromptBatch(example.prompts, instances),
            teacherPrompts: try example.teacherPrompts.map { try PromptBatch($0, instances) },
            masks: example.masks?.bitmaps, random: example.random)
        input.softMasks = example.softMasks
        input.task = example.task.id
        input.pseudoMasks = example.maps.map { maps in
            func tensor(_ bytes: [UInt8]) -> Tensor {
                Tensor(bytes.map { Float($0) / 255 }, [maps.count, maps.side, maps.side])
            }
            return PseudoMasks(probability: tensor(maps.probability), refined: tensor(maps.refined))
        }
        if example.frame.left == 0, example.frame.top == 0 {
            input.area = .init(height: example.frame.resizedHeight, width: example.frame.resizedWidth)
        }
        return input
    }

    /// A sample without a training signal keeps its position.
    private func addEmpty(at position: Int, isUnreadable: Bool = false, to share: inout Share) {
        slab.addEmpty(at: position)
        share.records.append(
            SampleRecord(
                position: position, values: [Double](repeating: 0, count: 2 + lossNames.count), hasGradient: false,
                isUnreadable: isUnreadable))
    }

    /// An unreadable image has weight 0; rank 0 decides how the run continues.
    private func leaveOut(_ request: SampleRequest, _ id: String, _ error: DatasetError, in share: inout Share) {
        addEmpty(at: request.position, isUnreadable: true, to: &share)
        share.findings.unreadable.append(
            UnreadableSample(
                images[request.sampleIndex], id: id, error, rank: communicator.rank, host: communicator.hostName))
    }

    /// Computes the losses and the gradient of one sample, or keeps the place of one that has none.
    private func compute(
        _ sample: ReadSample, _ votes: [Int] = [], _ features: ImageFeatures? = nil, into share: inout Share
    ) throws {
        switch sample {
        case .prepared(let example): try compute(example, votes, features, into: &share)
        case .unreadable(let request, let id, let error): leaveOut(request, id, error, in: &share)
        }
    }

    private func compute(
        _ prepared: PreparedExample, _ votes: [Int], _ features: ImageFeatures?, into share: inout Share
    ) throws {
        let example = prepared.example
        let (position, instances) = (example.request.position, example.prompts.count)
        guard instances > 0 else {
            addEmpty(at: position, to: &share)
            share.findings.empty.append(.init(position: position, id: example.id))
            return
        }
        let anchor = prepared.anchorFeatures(anchors)
        var context = stepContext(anchor)
        (context.distillation, context.votes, context.features) = (hold?.distillation, votes, features)
        let input = try Self.input(of: example)
        let losses = try method.step(input, in: &context)
        if FaultInjector.reach(.gradient) == .notANumber { context.gradients.values[0] = .nan }
        let gradient = context.gradients.values
        withExtendedLifetime(gradient) {
            let numbers = UnsafeBufferPointer(start: gradient.pointer, count: gradient.count)
            if let tensor = NonFiniteSample.tensor(losses, numbers, adapted.layout) {
                share.findings.nonFinite.append(
                    NonFiniteSample(
                        position: position, id: example.id, tensor: tensor, rank: communicator.rank,
                        host: communicator.hostName))
            }
            slab.add(numbers, at: position)
        }
        let values = [losses.total] + lossNames.map { losses[$0] ?? 0 } + [anchor.kept == nil ? 0 : 1]
        share.records.append(SampleRecord(position: position, values: values))
        share.own.samples += 1
        share.own.instances += instances
        share.own.anchorsReused += anchor.kept == nil ? 0 : 1
    }
}
