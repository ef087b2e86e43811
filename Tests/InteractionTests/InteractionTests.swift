import Interaction
import Testing

/// Distances, draws and clicks by their definitions.
@Suite struct InteractionTests {
    /// A mask of `#` and other signs.
    private func mask(_ rows: [String]) -> PixelMask {
        PixelMask(width: rows[0].count, height: rows.count, pixels: rows.joined().map { $0 == "#" })
    }

    /// A region of seeded squares with holes.
    private func region(_ seed: Int, width: Int, height: Int) -> PixelMask {
        var state = UInt32(truncatingIfNeeded: seed &* 2_654_435_761 | 1)
        func next() -> Int {
            state = state &* 1_664_525 &+ 1_013_904_223
            return Int(state >> 16)
        }
        var pixels = (0..<width * height).map { _ in next() % 16 != 0 }
        for _ in 0..<3 {
            let (x, y) = (next() % width, next() % height)
            for row in y..<min(y + 5, height) {
                for column in x..<min(x + 4, width) { pixels[row * width + column] = false }
            }
        }
        return PixelMask(width: width, height: height, pixels: pixels)
    }

    @Test(arguments: [(1, 1), (1, 7), (9, 1), (13, 11), (24, 17)]) func distancesAreTheDefinition(
        _ size: (width: Int, height: Int)
    ) {
        for seed in 0..<6 {
            let region = region(seed, width: size.width, height: size.height)
            let found = SquaredDistanceTransform.distances(in: region)
            for y in 0..<size.height {
                for x in 0..<size.width {
                    var least = Int.max
                    for v in -1...size.height {
                        for u in -1...size.width {
                            let isInside = (0..<size.width).contains(u) && (0..<size.height).contains(v)
                            if isInside && region.pixels[v * size.width + u] { continue }
                            least = min(least, (x - u) * (x - u) + (y - v) * (y - v))
                        }
                    }
                    #expect(found[y * size.width + x] == least, "(\(x), \(y)) of \(size), seed \(seed)")
                }
            }
        }
    }

    @Test func aFilledImageHasItsMiddle() throws {
        let (full, empty) = (mask(Array(repeating: "#####", count: 5)), mask(Array(repeating: ".....", count: 5)))
        let click = try #require(EvaluationClick(on: empty, target: full))
        #expect(
            click == EvaluationClick(on: empty, target: full) && click.click == Click(x: 2, y: 2, isForeground: true))
        #expect(click.squaredDistance == 9)
        #expect(EvaluationClick(on: full, target: full) == nil, "no error, no click")
        // Equal distances: the wrongly taken region wins.
        let (left, right) = (mask(["##...", "##..."]), mask(["...##", "...##"]))
        #expect(EvaluationClick(on: left, target: right)?.click == Click(x: 0, y: 0, isForeground: false))
    }

    /// Chances are proportional to weights, and nothing outside the region or of weight 0 is drawn.
    @Test func drawsFollowTheWeights() {
        let region = mask(["##.#", "#..#"])
        let weights: [Float] = [1, 2, 9, 0, 3, 9, 9, 4]
        var counts = [Int](repeating: 0, count: 8)
        let draws = 10_000
        for draw in 0..<draws {
            let uniform = Double(draw) / Double(draws)
            guard let index = RegionSampling.pixel(of: region, weights: weights, uniform: uniform) else {
                Issue.record("nothing drawn at \(uniform)")
                return
            }
            counts[index] += 1
        }
        #expect(counts == [1000, 2000, 0, 0, 3000, 0, 0, 4000])
        #expect(RegionSampling.pixel(of: region, weights: weights, uniform: 1.0.nextDown) == 7)
        #expect(RegionSampling.pixel(of: mask(["..", ".."]), uniform: 0.5) == nil)
        #expect(RegionSampling.pixel(of: region, weights: [Float](repeating: 0, count: 8), uniform: 0.5) == nil)
        #expect(RegionSampling.pixels(of: region, weights: weights, uniforms: [0, 0, 0, 0, 0]) == [0, 1, 4, 7])
    }

    @Test func whereNothingCanBeDrawnTheBackupIsClicked() {
        let target = mask(["##", ".."])
        let click = Click.training(on: target, after: target, certainty: nil, uniform: 0.3, backup: (1, 1))
        #expect(click == Click(x: 1, y: 1, isForeground: true))
        let wrong = Click.training(on: target, after: mask(["##", "#."]), certainty: nil, uniform: 0.3, backup: (0, 0))
        #expect(wrong == Click(x: 0, y: 1, isForeground: false))
    }

    /// SAM's rule moves a coordinate by at most 20 pixels and stays in the image; the released one only slides.
    @Test func jitterIsLimited() {
        let box: [Float] = [10, 20, 410, 60]
        #expect(BoxJitter.sam.apply(to: box, normal: [9, -9, -9, 9], width: 412, height: 70) == [30, 0, 390, 70])
        #expect(
            BoxJitter.released.apply(to: box, normal: [9, -9, 0, 0], width: 1000, height: 70) == [30, 20, 430, 60])
        #expect(BoxJitter.sam.apply(to: box, normal: [0, 0, 0, 0], width: 412, height: 70) == box)
    }
}
