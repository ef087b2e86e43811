import AdaptationMethods
import Adapters
import Kernels
import Layers
import SegmentAnything
import Tensors
import Testing
import TestSupport
import WeightFiles

/// L2P against the official code: similarities, the vote of a batch, and two steps with voted and with fixed prompts.
@Suite struct GoldenL2PTests {
    /// HQ-SAM's decoder with a pool of prompts; only the prompts are updated.
    private struct Prompted {
        let golden: GoldenMoDA
        let trainables: Trainables
        let pool: PromptPool
        /// Prompts and keys, behind the decoder's parameters.
        let entries: [ParameterLayout.Entry]
        let start: Tensor

        init() throws {
            golden = try GoldenMoDA()
            var options = AdapterOptions()
            options.promptPool.count = golden.configuration.pool_size
            options.promptPool.length = golden.configuration.prompt_len
            options.promptPool.perImage = golden.configuration.top_k
            trainables = try Trainables(
                TrainablePlan(adapters: [.init("hq"), .init("prompt-pool")]),
                in: ModelDescription(golden.model.configuration), options)
            pool = try #require(trainables.adapters.last as? PromptPool)
            entries = trainables.layout.entries.filter { $0.name.hasPrefix("prompt_pool.") }
            let table = golden.table
            start = Tensor(
                try trainables.layout.entries.flatMap { entry in
                    try table.tensor(Self.stored(entry.name), shape: entry.shape.dimensions).elements
                }, [trainables.layout.count])
        }

        /// The name in the file.
        static func stored(_ name: String) -> String {
            name.hasPrefix("prompt_pool.")
                ? name.replacing("prompt_pool.", with: "l2p.") : "adapter.\(GoldenMoDA.stored(name))"
        }

        /// A context with some values and prompts.
        func context(_ values: Tensor, choosing numbers: [Int]? = nil) -> PassContext {
            PassContext(
                golden.workspace, trained: TrainableParameters(layout: trainables.layout, values: values),
                adapters: ActiveAdapters([trainables.adapters[0], numbers.map { pool.choosing($0) } ?? pool]))
        }
    }

    @Test func similaritiesAndVotes() throws {
        let prompted = try Prompted()
        let golden = prompted.golden
        let context = prompted.context(prompted.start)
        let expected = try golden.table.tensor("l2p.out.similarity")
        var votes: [Int] = []
        for index in 0..<golden.batch {
            let features = golden.model.encoder.encode(try golden.image(index), in: PassContext(golden.workspace))
            let own = prompted.pool.similarities(to: features, in: context)
            for (value, official) in zip(own, expected.rows(index..<index + 1).elements) {
                #expect(abs(value - Double(official)) <= 1e-5)
            }
            votes += prompted.pool.numbers(for: features, in: context)
        }
        let counts = try golden.table.integers("l2p.out.votes")
        #expect(counts.indices.map { number in votes.filter { $0 == number }.count } == counts)
        #expect(
            try prompted.pool.elected(by: votes)
                == Array(golden.table.integers("l2p.vote.step0.index_sorted").prefix(5)))
    }

    @Test(arguments: ["vote", "fixed"]) func twoOfficialSteps(_ kind: String) throws {
        let prompted = try Prompted()
        let golden = prompted.golden
        let kinds = try golden.table.integers("train.in.prompt_kind")
        let loss = PointSampledLoss(pointCount: golden.configuration.num_points)
        var optimizer = DoubleAdam(prompted.start.elements.map(Double.init), rate: golden.configuration.lr)
        for step in 0..<2 {
            let prefix = "l2p.\(kind).step\(step)"
            let numbers = try golden.table.integers("\(prefix).index_sorted").prefix(golden.configuration.top_k)
            let context = prompted.context(
                Tensor(optimizer.values.map(Float.init), prompted.start.shape), choosing: Array(numbers))
            let pool = try #require(context.adapters.sets.last as? PromptPool)
            var gradients = GradientBuffer(prompted.trainables.layout)
            var (task, similarity, votes) = (0.0, 0.0, [Int]())
            for index in 0..<golden.batch {
                let features = golden.model.encoder.encodeForTraining(try golden.image(index), in: context).features
                votes += prompted.pool.numbers(for: features, in: context)
                let prompt = try golden.model.promptEncoder.encode(
                    try golden.prompt(index, kind: kinds[index]), in: context)
                let decoded = golden.model.decoder.decodeForTraining(
                    features, position: golden.model.promptEncoder.densePositionalEncoding, prompts: prompt,
                    in: context)
                let logits = decoded.masks.answer.reshaped([1, golden.low, golden.low])
                if step == 0 {
                    expectClose(
                        logits.elements, try golden.table.tensor("\(prefix).hq").rows(index..<index + 1).elements,
                        relativeToMaximum: 5e-4, "\(prefix).hq \(index)")
                }
                let points = loss.points(logits, try golden.draws(prefix, index), in: golden.workspace)
                var dLogits = Tensor(zeros: logits.shape)
                let part = 1 / Double(golden.batch)
                let values = loss(
                    logits, target: try golden.target(index), at: points, weights: (part, part),
                    addingTo: &dLogits, in: golden.workspace)
                task += (values.crossEntropy + values.dice) * part
                let dMasks = MaskGradients(
                    answer: dLogits.reshaped([1, 1, golden.low, golden.low]), iou: Tensor(zeros: decoded.iou.shape),
                    of: decoded.masks)
                _ = decoded.backward(dMasks, &gradients)
                similarity += part * pool.pull(features, weight: part, gradients: &gradients, in: context)
            }
            if kind == "vote" { #expect(prompted.pool.elected(by: votes) == Array(numbers)) }
            for (name, value, tolerance) in [
                ("key_similarity", similarity, 1e-5), ("loss.task", task, 1e-4),
                ("loss.total", task - similarity, 1e-4),
            ] {
                let expected = Double(try golden.table.number("\(prefix).\(name)"))
                #expect(abs(value - expected) <= tolerance * abs(expected), "\(prefix).\(name): \(value), \(expected)")
            }
            for (entry, tolerance) in zip(prompted.entries, [5e-3, 1e-4]) where step == 0 {
                let name = "\(prefix).grad.\(Prompted.stored(entry.name).dropFirst(4))"
                expectRelativeL2(
                    gradients.values.rows(entry.range).reshaped(entry.shape), try golden.table.tensor(name),
                    atMost: tolerance, name)
            }
            var prompts = [Float](repeating: 0, count: gradients.values.count)
            for entry in prompted.entries {
                prompts.replaceSubrange(entry.range, with: gradients.values.rows(entry.range).elements)
            }
            optimizer.update(prompts)
        }
        for (entry, tolerance) in zip(prompted.entries, [3e-3, 1e-3]) {
            let name = "l2p.\(kind).step1.after.\(Prompted.stored(entry.name).dropFirst(4))"
            let expected = try golden.table.tensor(name).elements
            let start = prompted.start.rows(entry.range).elements
            let own = entry.range.map { Float(optimizer.values[$0]) }
            func distance(_ a: [Float], _ b: [Float]) -> Double {
                zip(a, b).reduce(0) { $0 + Double($1.0 - $1.1) * Double($1.0 - $1.1) }.squareRoot()
            }
            #expect(distance(own, expected) <= tolerance * distance(expected, start), "\(name)")
        }
    }
}
