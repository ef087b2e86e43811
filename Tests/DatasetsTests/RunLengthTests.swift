import Datasets
import Tensors
import Testing

@Suite struct RunLengthTests {
    private func rule(_ body: () throws -> Void) -> AnnotationRule? {
        do {
            try body()
        } catch let fault as ShapeFault {
            return fault.description.contains("\n") ? nil : fault.rule
        } catch {}
        return nil
    }

    @Test func runsGoDownTheColumns() throws {
        // 3 wide, 2 high: the right pixel of the upper row and the middle one of the lower row.
        let mask = try RunLengthEncoding(counts: [3, 2, 1], width: 3, height: 2)
        #expect(mask.area == 2)
        #expect(mask.box == Box(x0: 1, y0: 0, x1: 3, y1: 2))
        #expect(try InstanceMasks([mask], width: 3, height: 2).bitmap(of: 0) == [0, 0, 1, 0, 1, 0])
        #expect(try RunLengthEncoding(compressed: mask.compressed, width: 3, height: 2) == mask)
        #expect(try RunLengthEncoding(counts: [6], width: 3, height: 2).box == nil)
        #expect(try RunLengthEncoding(counts: [0, 6], width: 3, height: 2).box == Box(x0: 0, y0: 0, x1: 3, y1: 2))
    }

    @Test func malformedRunsAreFaults() {
        func counts(_ counts: [Int], _ width: Int = 4, _ height: Int = 3) -> AnnotationRule? {
            rule { _ = try RunLengthEncoding(counts: counts, width: width, height: height) }
        }
        #expect(counts([12]) == nil)
        #expect(counts([5, -1, 8]) == .negativeRun)
        #expect(counts([5, 6]) == .runSum)
        #expect(counts([5, 6, 2]) == .runSum)
        #expect(counts([]) == .runSum)
        #expect(counts([Int.max, Int.max]) == .runSum)
        #expect(counts([0], 0, 3) == .badValue)
        #expect(counts([1 << 31], 1 << 16, 1 << 15) == .runLimit)
        #expect(counts([0], Int.max, Int.max) == .runLimit)
    }

    @Test func malformedTextsAreFaults() {
        func text(_ text: String) -> AnnotationRule? {
            rule { _ = try RunLengthEncoding(compressed: text, width: 4, height: 3) }
        }
        #expect(text("<") == nil, "one run of 12")
        #expect(text("") == .runSum)
        #expect(text("4") == .runSum)
        #expect(text("<1") == .runSum)
        #expect(text("O") == .negativeRun, "the sign bit of one character")
        #expect(text("<\u{7f}") == .runText)
        #expect(text("< ") == .runText)
        #expect(text("l") == .runText, "the last number goes on")
        #expect(text("PPPPPPP0") == .runText, "eight characters for nought")
        #expect(text("oooooo0") == .runText)
    }

    /// Every text of two characters is either rejected or gives runs that encode to it, or to a shorter text.
    @Test func allShortTextsAreReadOrRefused() throws {
        var read = 0
        for first in UInt8(0)...255 {
            for second in UInt8(0)...255 {
                guard let mask = try? RunLengthEncoding(compressed: [first, second], width: 5, height: 2) else {
                    continue
                }
                read += 1
                #expect(mask.counts.reduce(0, +) == 10)
                #expect(try RunLengthEncoding(compressed: mask.compressed, width: 5, height: 2) == mask)
            }
        }
        #expect(read == 12, "eleven ways to cut 10 into two runs, and 10 in two characters")
    }

    @Test func setsOfRandomMasks() throws {
        var generator = SeededGenerator(seed: 3, purpose: "runs")
        for _ in 0..<50 {
            let (width, height) = (1 + generator.index(below: 70), 1 + generator.index(below: 9))
            var masks = InstanceMasks(count: 2, width: width, height: height)
            for _ in 0..<generator.index(below: width * height + 1) {
                let (x, y) = (generator.index(below: width), generator.index(below: height))
                masks[generator.index(below: 2), x: x, y: y] = true
            }
            let (first, second) = (try masks.runLengthEncoding(of: 0), try masks.runLengthEncoding(of: 1))
            let pairs = Array(zip(masks.bitmap(of: 0), masks.bitmap(of: 1)))
            let union = try first.union(second)
            #expect(union.area == pairs.count { $0.0 == 1 || $0.1 == 1 })
            #expect(try union == second.union(first) && union.union(first) == union)
            #expect(first.area == masks.pixelCount(of: 0) && first.box == masks.box(of: 0))
            #expect(try RunLengthEncoding(compressed: first.compressed, width: width, height: height) == first)
            #expect(try InstanceMasks([first, second], width: width, height: height) == masks)
        }
    }

    @Test func sizesMustAgree() throws {
        let (small, large) = (
            try RunLengthEncoding(counts: [6], width: 3, height: 2),
            try RunLengthEncoding(counts: [6], width: 2, height: 3)
        )
        #expect(rule { _ = try small.union(large) } == .maskSize)
        #expect(rule { _ = try InstanceMasks([small], width: 4, height: 3) } == .maskSize)
    }

    @Test func malformedPolygonsAreFaults() {
        func polygon(_ numbers: [Double]) -> AnnotationRule? {
            rule { _ = try PolygonRasterisation.encode(polygon: numbers, width: 9, height: 9) }
        }
        #expect(polygon([1, 1, 5, 1, 5, 5]) == nil)
        #expect(polygon([1, 1, 5, 1, 5]) == .oddPolygon)
        #expect(polygon([1, 1, 5, 1]) == .shortPolygon)
        #expect(polygon([]) == .shortPolygon)
        #expect(polygon([1, 1, 5, 1, 5, .nan]) == .notFinite)
        #expect(polygon([1, 1, 5, 1, 5, .infinity]) == .notFinite)
        #expect(polygon([1, 1, 5, 1, 5, 1.0001e8]) == .notFinite)
    }

    /// Edges of any length cost no more than the columns they cross.
    @Test func farVerticesAreQuick() throws {
        let far: [Double] = [-1e8, -1e8, 1e8, -1e8, 1e8, 1e8, -1e8, 1e8]
        var star: [Double] = []
        for vertex in 0..<20_000 {
            star += [vertex % 2 == 0 ? -1e8 : 1e8, Double(vertex % 7) * 1e7 - 3e7]
        }
        #expect(try PolygonRasterisation.encode(polygon: far, width: 50, height: 40).area == 2000)
        _ = try PolygonRasterisation.encode(polygon: star, width: 50, height: 40)
    }

    @Test func discsHaveThePixelsWhoseCentresLieInside() throws {
        var generator = SeededGenerator(seed: 4, purpose: "discs")
        for _ in 0..<60 {
            let (width, height) = (1 + generator.index(below: 30), 1 + generator.index(below: 30))
            let x = Double(generator.index(below: 400)) / 10 - 5
            let y = Double(generator.index(below: 400)) / 10 - 5
            let radius = Double(generator.index(below: 300)) / 10 + 0.05
            let disc = try PolygonRasterisation.encode(
                discAround: (x, y), radius: radius, width: width, height: height)
            let expected = (0..<width * height).map { pixel -> UInt8 in
                let (row, column) = pixel.quotientAndRemainder(dividingBy: width)
                let (dx, dy) = (Double(column) + 0.5 - x, Double(row) + 0.5 - y)
                return (dx * dx + dy * dy).squareRoot() <= radius ? 1 : 0
            }
            #expect(try InstanceMasks([disc], width: width, height: height).bitmap(of: 0) == expected)
        }
    }
}
