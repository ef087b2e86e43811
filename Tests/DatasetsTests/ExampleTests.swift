import Datasets
import Imaging
import Tensors
import Testing

/// A data set in memory: rectangles on noise.
struct RectangleDataset: SegmentationDataset {
    var count = 3
    var rectangles = 4
    var hasMasks = true

    func id(_ index: Int) -> String { "image-\(index)" }

    func sample(_ index: Int) throws -> Sample {
        var generator = SeededGenerator(seed: 11, sample: index, purpose: "pixels")
        let pixels = (0..<40 * 30 * 3).map { _ in UInt8(generator.index(below: 256)) }
        let image = Image(width: 40, height: 30, channels: 3, pixels: pixels)
        let boxes = (0..<rectangles).map { Box(x0: Double(2 + $0), y0: 3, x1: Double(12 + $0), y1: 9) }
        guard hasMasks else { return Sample(id: id(index), image: image, boxes: boxes) }
        var masks = InstanceMasks(count: rectangles + 1, width: 40, height: 30)
        for (instance, box) in boxes.enumerated() {
            for y in Int(box.y0)..<Int(box.y1) {
                for x in Int(box.x0)..<Int(box.x1) { masks[instance, x: x, y: y] = true }
            }
        }
        masks[rectangles, x: 30, y: 20] = true  // one pixel, which vanishes in a small frame
        return Sample(id: id(index), image: image, instances: masks)
    }
}

@Suite struct ExampleTests {
    func preparation(
        _ dataset: RectangleDataset = RectangleDataset(), _ prompts: PromptOptions = PromptOptions(kind: .box)
    ) -> ExamplePreparation {
        ExamplePreparation(
            dataset: dataset, preprocessing: Preprocessing(kind: .wesam, side: 20), prompts: prompts, seed: 4)
    }

    func request(_ index: Int, epoch: Int = 0) -> SampleRequest {
        let sampler = ShardedSampler(sampleCount: 3, globalBatch: 3, seed: 1)
        let all = Array(sampler.requests(rank: 0, nodeOfRank: [0], fromEpoch: epoch, epochs: epoch + 1))
        return all.first { $0.sampleIndex == index } ?? all[0]
    }

    @Test func viewsShareOneGeometry() throws {
        var flips = Set<Flip>()
        for epoch in 0..<12 {
            let example = try preparation().trainingExample(request(1, epoch: epoch))
            flips.insert(example.flip)
            #expect(example.weak.shape == [20, 20, 3] && example.strong.shape == [20, 20, 3])
            #expect(example.prompts.count == 4, "the single pixel vanishes")
            // Box 0 of the original, mirrored and halved, above the black bar of (20 - 15) div 2 rows.
            let x0: Float = example.flip.isHorizontal ? 14 : 1
            let y0: Float = (example.flip.isVertical ? 10.5 : 1.5) + 2
            let boxes = try #require(example.prompts.boxes)
            #expect(boxes.rows(0..<1).elements == [x0, y0, x0 + 5, y0 + 3])
        }
        #expect(flips.count > 2)
    }

    @Test func examplesRepeatThemselves() throws {
        let options = PromptOptions(kind: .point)
        let first = try preparation(RectangleDataset(), options).trainingExample(request(2, epoch: 3))
        let second = try preparation(RectangleDataset(), options).trainingExample(request(2, epoch: 3))
        #expect(first.strong.elements == second.strong.elements)
        #expect(first.prompts.points?.elements == second.prompts.points?.elements)
        let other = try preparation(RectangleDataset(), options).trainingExample(request(2, epoch: 4))
        #expect(first.prompts.points?.elements != other.prompts.points?.elements)
    }

    @Test func theTeacherMayHaveItsOwnKindOfPrompt() throws {
        func example(_ teacher: PromptKind?) throws -> TrainingExample {
            var options = PromptOptions(kind: .point)
            options.maximumInstances = 2
            return try ExamplePreparation(
                dataset: RectangleDataset(), preprocessing: Preprocessing(kind: .wesam, side: 20), prompts: options,
                teacherKind: teacher, seed: 4
            ).trainingExample(request(2))
        }
        let (mixed, alone) = (try example(.box), try example(nil))
        let (boxes, points) = (try #require(mixed.teacherPrompts?.boxes), try #require(mixed.prompts.points))
        #expect(alone.teacherPrompts == nil && points.elements == alone.prompts.points?.elements)
        #expect(boxes.shape == [2, 4] && points.shape == [2, 10, 2])
        for instance in 0..<2 {  // the same instances in the same order: every point on the object lies in its box
            let box = boxes.rows(instance..<instance + 1).elements
            for point in 0..<5 {
                let place = (instance * 10 + point) * 2
                let (x, y) = (points.elements[place], points.elements[place + 1])
                #expect(x >= box[0] - 1 && x <= box[2] && y >= box[1] - 1 && y <= box[3])
            }
        }
        #expect(try example(.point).teacherPrompts == nil, "its own kind is no other kind")
    }

    @Test func capAppliesToTrainingOnly() throws {
        var options = PromptOptions(kind: .box)
        options.maximumInstances = 2
        #expect(try preparation(RectangleDataset(), options).trainingExample(request(0)).prompts.count == 2)
        #expect(try preparation(RectangleDataset(), options).evaluationExample(0).prompts[0].count == 4)
    }

    @Test func evaluationIsUnmirroredAndRepeatable() throws {
        let example = try preparation().evaluationExample(1, kinds: [.box, .point])
        #expect(example.prompts.map(\.kind) == [.box, .point])
        #expect(example.prompts[0].boxes?.rows(0..<1).elements == [1, 3.5, 6, 6.5])
        let (masks, originals) = (try #require(example.masks), try #require(example.originalMasks))
        #expect(masks.count == 4 && originals.count == 4 && example.count == 4)
        #expect((masks.width, originals.width) == (20, 40))
        let again = try preparation().evaluationExample(1, kinds: [.point])
        #expect(example.prompts[1].points?.elements == again.prompts[0].points?.elements)
        let points = try #require(again.prompts[0].points)
        for instance in 0..<4 {
            for point in 0..<10 {
                let place = (instance * 10 + point) * 2
                #expect(masks[instance, x: Int(points[place]), y: Int(points[place + 1])] == (point < 5))
            }
        }
    }

    /// Boxes alone give box prompts, and a reference for scoring a prediction.
    @Test func boxesWithoutMasksAreTakenAsTheyAre() throws {
        var dataset = RectangleDataset()
        dataset.hasMasks = false
        #expect(try preparation(dataset).trainingExample(request(0)).prompts.count == 4)
        let example = try preparation(dataset).evaluationExample(0)
        #expect(example.masks == nil && example.originalMasks == nil && example.count == 4 && example.points == nil)
        #expect(example.boxes?[1] == Box(x0: 3, y0: 3, x1: 13, y1: 9))
        #expect(throws: DatasetError.self) {
            try preparation(dataset, PromptOptions(kind: .point)).trainingExample(request(0))
        }
        #expect(throws: DatasetError.self) {
            try preparation(dataset, PromptOptions(kind: .coarse)).trainingExample(request(0))
        }
        let needy = ExamplePreparation(
            dataset: dataset, preprocessing: Preprocessing(kind: .wesam, side: 20), prompts: PromptOptions(kind: .box),
            keepsMasks: true, seed: 4)
        #expect(throws: DatasetError.self) { try needy.trainingExample(request(0)) }
    }

    @Test func methodsThatAskForMasksGetThoseOfThePromptedInstances() throws {
        let needy = ExamplePreparation(
            dataset: RectangleDataset(), preprocessing: Preprocessing(kind: .wesam, side: 20),
            prompts: PromptOptions(kind: .box, maximumInstances: 3), keepsMasks: true, seed: 4)
        let example = try needy.trainingExample(request(2))
        let (masks, boxes) = (try #require(example.masks), try #require(example.prompts.boxes))
        #expect(masks.count == 3)
        for instance in 0..<3 {
            let own = try #require(masks.box(of: instance))
            let row = boxes.rows(instance..<instance + 1).elements.map { Double($0) }
            #expect(abs(own.x0 - row[0]) <= 1 && abs(own.y1 - row[3]) <= 1)
        }
        #expect(try preparation().trainingExample(request(2)).masks == nil)
        let again = try needy.trainingExample(request(2, epoch: 1))
        var (first, second) = (example.random, again.random)
        #expect(first.next() != second.next())
    }
}
