import Datasets
import Imaging
import Tensors
import Testing

@Suite struct InstanceMaskTests {
    /// Three instances on a width that is not a multiple of 64.
    let labels: LabelImage = {
        var labels = LabelImage(width: 70, height: 9, labels: [UInt16](repeating: 0, count: 630))
        for y in 1..<4 { for x in 60..<68 { labels.labels[y * 70 + x] = 500 } }
        for x in 0..<70 { labels.labels[6 * 70 + x] = 3 }
        labels.labels[8 * 70 + 69] = 65_535
        return labels
    }()

    @Test func labelsBecomeMasksInAscendingOrder() {
        let masks = InstanceMasks(labels: labels)
        #expect(masks.count == 3)
        #expect((0..<3).map(masks.pixelCount) == [70, 24, 1])
        for (instance, label) in [UInt16(3), 500, 65_535].enumerated() {
            #expect(masks.bitmap(of: instance) == labels.labels.map { $0 == label ? 1 : 0 })
        }
        #expect(masks.box(of: 1) == Box(x0: 60, y0: 1, x1: 68, y1: 4))
        #expect(masks.box(of: 2) == Box(x0: 69, y0: 8, x1: 70, y1: 9))
        #expect(InstanceMasks(count: 1, width: 5, height: 5).box(of: 0) == nil)
    }

    @Test(arguments: Flip.allCases)
    func flipsMoveMasksAndBoxesAlike(flip: Flip) {
        let masks = InstanceMasks(labels: labels)
        let flipped = masks.flipped(flip)
        #expect(flipped == InstanceMasks(labels: labels.flipped(flip)))
        for instance in 0..<3 {
            let moved = masks.box(of: instance).map { flip.apply(to: $0, width: 70, height: 9) }
            #expect(moved == flipped.box(of: instance))
        }
        #expect(flipped.flipped(flip) == masks)
    }

    @Test func widthOfWholeWordsFlips() {
        var masks = InstanceMasks(count: 1, width: 128, height: 1)
        masks[0, x: 0, y: 0] = true
        masks[0, x: 65, y: 0] = true
        let flipped = masks.flipped(.horizontal)
        #expect((0..<128).filter { flipped[0, x: $0, y: 0] } == [62, 127])
    }

    @Test func thresholdGivesOneInstanceOrNone() {
        let image = Image(width: 3, height: 1, channels: 3, pixels: [127, 255, 255, 128, 0, 0, 255, 0, 0])
        #expect(InstanceMasks(image, above: 127).bitmaps == [0, 1, 1])
        #expect(InstanceMasks(image, above: 255).count == 0)
    }

    @Test func selectionReordersMasks() {
        let masks = InstanceMasks(labels: labels)
        let selected = masks.selecting([2, 0])
        #expect(selected.count == 2)
        #expect(selected.bitmaps == masks.bitmap(of: 2) + masks.bitmap(of: 0))
    }

    /// The bit-packed resize equals the byte filter on 0 and 1 followed by == 1, including the placement in the frame.
    @Test(arguments: [(90, 41, 128), (41, 90, 64), (64, 64, 64), (300, 200, 33), (7, 5, 100)], [false, true])
    func resizedEqualsTheImageFilter(size: (Int, Int, Int), isCentred: Bool) {
        let (width, height, side) = size
        var generator = SeededGenerator(seed: 1, purpose: "blobs")
        var masks = InstanceMasks(count: 3, width: width, height: height)
        for instance in 0..<2 {
            for _ in 0..<12 {
                let (x, y) = (generator.index(below: width), generator.index(below: height))
                for row in y..<min(y + 1 + height / 8, height) {
                    for column in x..<min(x + 1 + width / 6, width) { masks[instance, x: column, y: row] = true }
                }
            }
        }
        masks[2, x: width / 2, y: height / 2] = true
        let frame = ModelFrame(side: side, originalWidth: width, originalHeight: height, isCentred: isCentred)
        let resized = masks.resized(to: frame)
        for instance in 0..<3 {
            let bytes = Image(width: width, height: height, channels: 1, pixels: masks.bitmap(of: instance))
            let expected = Resize.bilinear(bytes, width: frame.resizedWidth, height: frame.resizedHeight)
            var canvas = [UInt8](repeating: 0, count: side * side)
            for (y, row) in frame.rows.enumerated() {
                for (x, column) in frame.columns.enumerated() {
                    canvas[row * side + column] = expected.pixels[y * frame.resizedWidth + x] == 1 ? 1 : 0
                }
            }
            #expect(resized.bitmap(of: instance) == canvas, "instance \(instance)")
        }
        if side == 33 { #expect(resized.pixelCount(of: 2) == 0) }
    }
}
