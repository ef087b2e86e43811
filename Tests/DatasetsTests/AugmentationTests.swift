import Datasets
import DatasetTestSupport
import Imaging
import Tensors
import Testing

@Suite struct GoldenAugmentationTests {
    let image = OpenCVVectors.image

    /// The largest difference between two lists of samples and the number of differing samples.
    func difference(_ first: [UInt8], _ second: [UInt8]) -> (largest: Int, count: Int) {
        let differences = zip(first, second).map { abs(Int($0) - Int($1)) }
        return (differences.max() ?? 0, differences.count { $0 != 0 })
    }

    @Test func equalizeEqualsOpenCV() {
        #expect(LookupOperations.equalize(image).pixels == OpenCVVectors.equalized)
    }

    @Test func brightnessAndContrastEqualOpenCV() {
        let result = LookupOperations.brightnessContrast(image, contrast: 1.13, brightness: -0.11)
        #expect(result.pixels == OpenCVVectors.brightened)
    }

    /// Sums in another order than OpenCV's may round differently when they end in one half.
    @Test func sharpenEqualsOpenCVToOneStep() {
        let result = Sharpen.apply(to: image, alpha: 0.3, lightness: 0.7)
        let (largest, count) = difference(result.pixels, OpenCVVectors.sharpened)
        #expect(largest <= 1)
        #expect(count <= 3)
    }

    @Test func hueLightnessSaturationEqualOpenCV() {
        let result = stride(from: 0, to: image.pixels.count, by: 3).flatMap { base -> [UInt8] in
            let pixel = HLSPixel(
                red: image.pixels[base], green: image.pixels[base + 1], blue: image.pixels[base + 2])
            return [pixel.hue, pixel.lightness, pixel.saturation]
        }
        #expect(difference(result, OpenCVVectors.hls) == (0, 0))
    }

    @Test func polygonsEqualOpenCV() {
        var rows = [[Character]](
            repeating: [Character](repeating: ".", count: image.width), count: image.height)
        for polygon in OpenCVVectors.polygons {
            PolygonFill.fill(polygon, width: image.width, height: image.height) { pixel in
                rows[pixel / image.width][pixel % image.width] = "#"
            }
        }
        #expect(rows.map { String($0) }.joined(separator: "\n") == OpenCVVectors.mask)
    }

    @Test func shadowEqualsOpenCV() {
        let result = RandomShadow.apply(to: image, polygons: OpenCVVectors.polygons)
        #expect(difference(result.pixels, OpenCVVectors.shadowed) == (0, 0))
    }
}

@Suite struct AugmentationTests {
    @Test func tablesByHand() {
        let image = Image(width: 4, height: 1, channels: 1, pixels: [0, 127, 128, 255])
        #expect(LookupOperations.posterize(image).pixels == [0, 112, 128, 240])
        #expect(LookupOperations.solarize(image).pixels == [0, 127, 127, 0])
        // 127 * 1.2 + 0.1 * 255 = 177.9, truncated.
        let brighter = LookupOperations.brightnessContrast(image, contrast: 1.2, brightness: 0.1)
        #expect(brighter.pixels == [25, 177, 179, 255])
    }

    @Test func equalizeByHand() {
        // Histogram 10: 2, 20: 1, 30: 1; scale 255 / 2; 127.5 rounds to the even 128.
        let image = Image(width: 4, height: 1, channels: 1, pixels: [10, 20, 10, 30])
        #expect(LookupOperations.equalize(image).pixels == [0, 128, 0, 255])
        let constant = Image(width: 3, height: 2, channels: 3, filledWith: 77)
        #expect(LookupOperations.equalize(constant) == constant)
    }

    @Test func sharpenByHand() {
        // One bright pixel in the middle of 3 x 3; with the mirrored border a corner sees it four times, an edge twice.
        var image = Image(width: 3, height: 3, channels: 1, filledWith: 100)
        image.pixels[4] = 110
        let sharp = Sharpen.apply(to: image, alpha: 0.25, lightness: 0.5)
        // Centre weight 0.75 + 0.25 * 8.5 = 2.875: 110 * 2.875 - 0.25 * 800 = 116.25; corner 287.5 - 0.25 * 840 = 77.5.
        #expect(sharp.pixels == [78, 82, 78, 82, 116, 82, 78, 82, 78])
    }

    @Test func flipsFormAGroup() {
        for first in Flip.allCases {
            #expect(first.then(first) == .none)
            for second in Flip.allCases { #expect(first.then(second).index == first.index ^ second.index) }
        }
    }

    @Test func weakFlipsAreEquallyLikely() {
        var counts = [0, 0, 0, 0]
        for sample in 0..<8000 {
            counts[WeakAugmentation.draw(.everyEpoch, seed: 7, epoch: 1, sample: sample).index] += 1
        }
        // Standard deviation of each count is 39.
        #expect(counts.allSatisfy { abs($0 - 2000) < 160 }, "\(counts)")
    }

    @Test func strongOperationsKeepOrderProbabilityAndRanges() {
        var counts = [Int](repeating: 0, count: 6)
        for sample in 0..<2000 {
            let operations = StrongAugmentation.draw(seed: 3, epoch: 0, sample: sample, width: 50, height: 31)
            let ranks = operations.map { operation -> Int in
                switch operation {
                case .posterize(let bits):
                    #expect(bits == 4)
                    return 0
                case .equalize: return 1
                case .sharpen(let alpha, let lightness):
                    #expect((0.2...0.5).contains(alpha) && (0.5...1).contains(lightness))
                    return 2
                case .solarize(let threshold):
                    #expect(threshold == 128)
                    return 3
                case .brightnessContrast(let contrast, let brightness):
                    #expect((0.8...1.2).contains(contrast) && (-0.2...0.2).contains(brightness))
                    return 4
                case .shadow(let polygons):
                    #expect((1...2).contains(polygons.count) && polygons.allSatisfy { $0.count == 5 })
                    let vertices = polygons.flatMap { $0 }
                    #expect(vertices.allSatisfy { (0...50).contains($0.x) && (15...31).contains($0.y) })
                    return 5
                }
            }
            #expect(ranks == Array(Set(ranks)).sorted())
            for rank in ranks { counts[rank] += 1 }
        }
        // Standard deviation of each count is 22.
        #expect(counts.allSatisfy { abs($0 - 1000) < 100 }, "\(counts)")
    }

    @Test func strongAugmentationRepeatsItself() {
        func run(_ epoch: Int) -> Image {
            let operations = StrongAugmentation.draw(seed: 5, epoch: epoch, sample: 9, width: 13, height: 9)
            return StrongAugmentation.apply(operations, to: OpenCVVectors.image)
        }
        #expect(run(2) == run(2))
        #expect((0..<8).contains { run($0) != run(2) })
    }
}
