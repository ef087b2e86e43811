import SegmentAnything
import Tensors
import Testing

/// Holes, islands and the scan of logits.
@Suite struct MaskRegionTests {
    @Test func holesAreFilledIslandsDropped() {
        let mask = runs([
            "#####...",
            "#..##.#.",
            "#####...",
            "........",
            "....####",
        ])
        // Regions outside: the hole of 2 and the rest of 20. Inside: 13, 1 and 4.
        #expect(mask.fillingHoles(below: 2) == nil)
        #expect(
            mask.fillingHoles(below: 3).map(text) == [
                "#####...", "#####.#.", "#####...", "........", "....####",
            ])
        #expect(mask.droppingIslands(below: 1) == nil)
        #expect(
            mask.droppingIslands(below: 4).map(text) == [
                "#####...", "#..##...", "#####...", "........", "....####",
            ])
        #expect(
            mask.droppingIslands(below: 5).map(text) == [
                "#####...", "#..##...", "#####...", "........", "........",
            ])
    }

    @Test func cornersJoin() {
        let mask = runs([
            "#...",
            ".#..",
            "..#.",
            "...#",
        ])
        #expect(mask.droppingIslands(below: 4) == nil)
        // Nor does the diagonal separate the 12 pixels outside.
        #expect(mask.fillingHoles(below: 12) == nil)
        #expect(mask.fillingHoles(below: 13).map { $0.area } == 16)
    }

    @Test func armsOfOneRegionMeetLate() {
        let mask = runs([
            "#.#.#",
            "#.#.#",
            "#####",
        ])
        #expect(mask.droppingIslands(below: 11) == nil)
        #expect(runs(["###", "..#", "###"]).droppingIslands(below: 7) == nil)
        #expect(runs(["####", "...#", "##.#", ".###"]).droppingIslands(below: 11) == nil)
        let mirrored = runs([
            "#####",
            "#.#.#",
            "#.#.#",
        ])
        #expect(mirrored.droppingIslands(below: 11) == nil)
        #expect(mirrored.fillingHoles(below: 3).map { $0.area } == 15)
    }

    @Test func theLargestStaysWhereAllAreSmall() {
        #expect(
            runs(["#..##", "#....", "...##"]).droppingIslands(below: 9).map(text) == ["#....", "#....", "....."])
        #expect(runs(["#...", "...."]).droppingIslands(below: 9).map(text) == ["#...", "...."])
        #expect(runs(["....", "...."]).droppingIslands(below: 9) == nil)
    }

    /// Of equal islands the one whose first block of 2 x 2 pixels comes first, row by row, is kept, as with OpenCV:
    /// here the left one, though the right one begins a row higher.
    @Test func equalIslandsInTheOrderOfBlocks() {
        #expect(runs(["...#", "#..."]).droppingIslands(below: 9).map(text) == ["....", "#..."])
        #expect(runs(["....", "...#", "#..."]).droppingIslands(below: 9).map(text) == ["....", "...#", "...."])
    }

    @Test func fullAndEmptyMasks() {
        #expect(runs(["###", "###"]).fillingHoles(below: 99) == nil)
        #expect(runs(["...", "..."]).fillingHoles(below: 99).map { $0.area } == 6)
    }

    /// 8-connected regions by flood fill, on random masks.
    @Test(arguments: 0..<40) func likeAFloodFill(_ seed: Int) {
        var generator = SeededGenerator(seed: UInt64(seed), purpose: "mask regions")
        let (width, height) = (1 + seed % 13, 1 + seed % 7)
        let pixels = (0..<width * height).map { _ in generator.next() % 5 < UInt64(1 + seed % 4) }
        let mask = MaskRuns(pixels: pixels, width: width, height: height)
        #expect(mask.pixels == pixels)
        let limit = 1 + seed % 6
        let holes = floodSizes(pixels, of: false, width: width, height: height)
        let filled = zip(pixels, holes).map { $0 || $1 < limit }
        #expect((mask.fillingHoles(below: limit)?.pixels ?? pixels) == filled)
        let islands = floodSizes(pixels, of: true, width: width, height: height)
        guard islands.contains(where: { $0 >= limit && $0 < Int.max }) else { return }
        let kept = zip(pixels, islands).map { $0 && $1 >= limit }
        #expect((mask.droppingIslands(below: limit)?.pixels ?? pixels) == kept)
    }

    /// The size of every pixel's region; larger than any limit for pixels of the other kind.
    private func floodSizes(_ pixels: [Bool], of kind: Bool, width: Int, height: Int) -> [Int] {
        var sizes = [Int](repeating: .max, count: pixels.count)
        var isSeen = pixels.map { $0 != kind }
        for start in pixels.indices where !isSeen[start] {
            var region = [start]
            isSeen[start] = true
            var next = 0
            while next < region.count {
                let (y, x) = region[next].quotientAndRemainder(dividingBy: width)
                next += 1
                for row in max(0, y - 1)...min(height - 1, y + 1) {
                    for column in max(0, x - 1)...min(width - 1, x + 1) where !isSeen[row * width + column] {
                        isSeen[row * width + column] = true
                        region.append(row * width + column)
                    }
                }
            }
            for pixel in region { sizes[pixel] = region.count }
        }
        return sizes
    }

    @Test func stabilityCountsBothThresholds() throws {
        // Above 0.5: 2 pixels; above -0.5: 5 (0.5 and -0.5 are not above themselves). Above 0: 3.
        let logits: [Float] = [2, 0.6, 0.5, 0, -0.4, -0.5, -3, -0.6]
        let scan = try #require(
            LogitScan(logits, width: 4, height: 2, offset: 0.5, minimumScore: 0.4))
        #expect(scan.stabilityScore == 0.4)
        #expect(text(scan.mask) == ["###.", "...."])
        #expect(LogitScan(logits, width: 4, height: 2, offset: 0.5, minimumScore: 0.41) == nil)
        // Nothing above the lower threshold: no score, and no mask if a minimum is set.
        let low = [Float](repeating: -9, count: 8)
        #expect(LogitScan(low, width: 4, height: 2, offset: 1, minimumScore: 0.01) == nil)
        let empty = try #require(LogitScan(low, width: 4, height: 2, offset: 1, minimumScore: 0))
        #expect(empty.stabilityScore == 0 && empty.mask.area == 0)
    }

    @Test func scannedRunsAreThoseOfThePixels() throws {
        var generator = SeededGenerator(seed: 5, purpose: "logit scan")
        for (width, height) in [(1, 9), (9, 1), (17, 13), (64, 40)] {
            let logits = (0..<width * height).map { _ in Float(generator.next() % 3) - 1 }
            let scan = try #require(LogitScan(logits, width: width, height: height, offset: 0, minimumScore: 0))
            #expect(scan.mask == MaskRuns(pixels: logits.map { $0 > 0 }, width: width, height: height))
        }
    }
}
