import Datasets
import DatasetTestSupport
import Imaging
import Tensors
import Testing

@Suite struct PreparationTests {
    @Test func framesOfSAMAndWeSAM() {
        let sam = Preprocessing(kind: .sam, side: 1024).frame(width: 640, height: 427)
        #expect((sam.resizedWidth, sam.resizedHeight, sam.left, sam.top) == (1024, 683, 0, 0))
        let wesam = Preprocessing(kind: .wesam, side: 1024).frame(width: 640, height: 427)
        #expect((wesam.left, wesam.top) == (0, 170))
        let box = wesam.toModel(Box(x0: 10, y0: 20, x1: 30, y1: 427))
        #expect(box.x0 == 16 && box.x1 == 48)
        #expect(abs(box.y0 - (170 + 20 * 683.0 / 427)) < 1e-9 && abs(box.y1 - 853) < 1e-9)
        let narrow = Preprocessing(kind: .sam, side: 16).frame(width: 1000, height: 1)
        #expect(narrow.resizedHeight == 1)
    }

    @Test func kindsScaleAndPad() {
        let image = Image(width: 4, height: 2, channels: 3, pixels: (0..<24).map { UInt8($0 * 10) })
        let sam = Preprocessing(kind: .sam, side: 4).apply(to: image)
        #expect(sam.shape == [4, 4, 3])
        #expect(sam[0] == (0 - Float(123.675)) / Float(58.395))
        #expect(sam[23] == (230 - Float(103.53)) / Float(57.375))
        #expect((24..<48).allSatisfy { sam[$0] == 0 })
        let wesam = Preprocessing(kind: .wesam, side: 4).apply(to: image)
        #expect((0..<12).allSatisfy { wesam[$0] == 0 } && (36..<48).allSatisfy { wesam[$0] == 0 })
        #expect(wesam[12 + 23] == Float(230) / 255)
        let medsam = Preprocessing(kind: .medsam, side: 4).apply(to: image)
        #expect(medsam[0] == 0 && medsam[23] == 1 && medsam[1] == Float(10) / 230 && medsam[24] == 0)
        let black = Preprocessing(kind: .medsam, side: 4).apply(to: Image(width: 4, height: 4, channels: 3))
        #expect(black.elements.allSatisfy { $0 == 0 })
    }

    @Test func logitsReturnToTheOriginalSize() {
        let frame = ModelFrame(side: 8, originalWidth: 4, originalHeight: 2, isCentred: true)
        #expect((frame.top, frame.resizedHeight) == (2, 4))
        // A ramp along x inside the image; a target pixel samples the middle between two frame pixels. Padding must not
        // leak.
        let logits = Tensor(
            (0..<64).map { index in frame.rows.contains(index / 8) ? Float(index % 8) : -1000 }, [8, 8])
        let restored = frame.restore(logits)
        #expect(restored.shape == [2, 4])
        #expect(restored.elements == [0.5, 2.5, 4.5, 6.5, 0.5, 2.5, 4.5, 6.5])
        // Enlarging repeats the edge.
        let small = ModelFrame(side: 2, originalWidth: 4, originalHeight: 4, isCentred: false)
        let enlarged = small.restore(Tensor([0, 4, 0, 4], [2, 2]))
        #expect(enlarged.rows(0..<1).elements == [0, 1, 3, 4])
    }

    @Test func pointsFallInsideAndOutside() {
        var masks = InstanceMasks(count: 2, width: 70, height: 20)
        for y in 5..<7 { for x in 62..<66 { masks[0, x: x, y: y] = true } }
        for y in 0..<20 { for x in 0..<70 { masks[1, x: x, y: y] = true } }
        var generator = SeededGenerator(seed: 2, purpose: "points")
        var options = PromptOptions(kind: .point)
        options.positivePoints = 400
        options.negativePoints = 300
        let points = PromptSampling.draw(from: masks, instance: 0, options: options, generator: &generator)
        #expect(points.map(\.isForeground) == (0..<700).map { $0 < 400 })
        #expect(points.allSatisfy { masks[0, x: Int($0.x), y: Int($0.y)] == $0.isForeground })
        // With replacement every one of the eight pixels comes up about 50 times.
        let hits = Dictionary(grouping: points.prefix(400)) { Int($0.y) * 70 + Int($0.x) }
        #expect(hits.count == 8 && hits.values.allSatisfy { (20...90).contains($0.count) })
        let full = PromptSampling.draw(from: masks, instance: 1, options: options, generator: &generator)
        #expect(full.count == 400)
    }

    @Test func promptTensorsPadShortRows() {
        let prompts = Prompts(points: [
            [LabelledPoint(x: 1, y: 2, isForeground: true), LabelledPoint(x: 3, y: 4, isForeground: false)],
            [LabelledPoint(x: 5, y: 6, isForeground: true)],
        ])
        #expect(prompts.points?.shape == [2, 2, 2])
        #expect(prompts.points?.elements == [1, 2, 3, 4, 5, 6, 0, 0])
        #expect(prompts.pointLabels?.elements == [1, 0, 1, -1])
        #expect(Prompts(boxes: []).boxes?.shape == [0, 4])
    }

    @Test func capKeepsARandomSubset() {
        var generator = SeededGenerator(seed: 1, purpose: "cap")
        let kept = PromptSampling.capped(Array(0..<100), maximum: 40, generator: &generator)
        #expect(kept.count == 40 && Set(kept).count == 40)
        #expect(kept != Array(0..<40))
        #expect(PromptSampling.capped([4, 2], maximum: 2, generator: &generator) == [4, 2])
    }
}
