import SegmentAnything
import Testing

/// Grids, crops, suppression and clean-up on cases worked out by hand.
@Suite struct AutomaticGeometryTests {
    @Test func pointsAreCentresWithXFastest() {
        let points = PointGrid.points(perSide: 2, width: 100, height: 60)
        #expect(points.map(\.x) == [25, 75, 25, 75])
        #expect(points.map(\.y) == [15, 15, 45, 45])
        #expect(PointGrid.points(perSide: 1, width: 7, height: 3).map(\.x) == [3.5])
    }

    @Test func cropsOfOneLayer() {
        // Overlap floor(512 / 1500 * 600) = 204; (204 + 1000) / 2 = 602 and (204 + 600) / 2 = 402 pixels.
        let crops = ImageCrop.all(width: 1000, height: 600, layers: 1, overlapRatio: 512.0 / 1500)
        let boxes = [
            (0, 0, 1000, 600), (0, 0, 602, 402), (0, 198, 602, 600), (398, 0, 1000, 402), (398, 198, 1000, 600),
        ].map { PixelBox(x0: $0.0, y0: $0.1, x1: $0.2, y1: $0.3) }
        #expect(crops.map(\.box) == boxes)
        #expect(crops.map(\.layer) == [0, 1, 1, 1, 1])
    }

    @Test func cropsOfTheSecondLayerOverlapByHalfAsMuch() {
        let crops = ImageCrop.all(width: 400, height: 401, layers: 2, overlapRatio: 0.25)
        #expect(crops.count == 1 + 4 + 16)
        // Layer 1: overlap 100, crops of 250 x ceil(501 / 2). Layer 2: overlap 50, 550 / 4 = 137.5 and 551 / 4 = 137.75.
        #expect(crops[1].box == PixelBox(x0: 0, y0: 0, x1: 250, y1: 251))
        #expect(crops[5].box == PixelBox(x0: 0, y0: 0, x1: 138, y1: 138))
        #expect(crops[6].box == PixelBox(x0: 0, y0: 88, x1: 138, y1: 226))
        // The last crops end with the image: 264 + 138 is beyond 400 and 401.
        #expect(crops[20].box == PixelBox(x0: 264, y0: 264, x1: 400, y1: 401))
    }

    @Test func anImageOfOnePixelHasNoEmptyCrop() {
        let crops = ImageCrop.all(width: 1, height: 1, layers: 3, overlapRatio: 0)
        #expect(crops.allSatisfy { $0.box.width > 0 && $0.box.height > 0 })
        #expect(crops.map(\.layer) == [0, 1, 2, 3])
    }

    @Test func suppressionIsStrict() {
        // Against the first: 50 / 100 (kept at 0.5), then 60 / 100 (dropped).
        let boxes = [(0, 0, 10, 10), (0, 0, 10, 5), (0, 0, 10, 6)].map { box($0) }
        #expect(BoxSuppression.kept(boxes, scores: [3, 2, 1], threshold: 0.5) == [0, 1])
        #expect(BoxSuppression.kept(boxes, scores: [1, 2, 3], threshold: 0.5) == [2])
        #expect(BoxSuppression.kept(boxes, scores: [1, 3, 2], threshold: 0.9) == [1, 2, 0])
        #expect(BoxSuppression.kept([], scores: [], threshold: 0.5) == [])
    }

    @Test func equalScoresKeepTheEarlierBox() {
        let boxes = [(0, 0, 10, 10), (50, 50, 60, 60), (0, 0, 10, 10), (50, 50, 60, 60), (80, 0, 90, 10)].map {
            box($0)
        }
        #expect(BoxSuppression.kept(boxes, scores: [1, 1, 1, 1, 1], threshold: 0.7) == [0, 1, 4])
        #expect(BoxSuppression.kept(boxes, scores: [1, 1, 2, 1, 1], threshold: 0.7) == [2, 1, 4])
    }

    @Test func aDroppedBoxDropsNothing() {
        // The middle box overlaps both, which do not overlap enough: 8 / 12 each, and 6 / 14 between the outer ones.
        let boxes = [(0, 0, 10, 1), (2, 0, 12, 1), (4, 0, 14, 1)].map { box($0) }
        #expect(BoxSuppression.kept(boxes, scores: [3, 2, 1], threshold: 0.5) == [0, 2])
    }

    @Test func boxesWithoutAreaStay() {
        let boxes = [(0, 0, 0, 0), (0, 0, 0, 0), (3, 0, 3, 9), (3, 0, 3, 9)].map { box($0) }
        #expect(BoxSuppression.kept(boxes, scores: [1, 2, 3, 4], threshold: 0) == [3, 2, 1, 0])
    }

    /// At a threshold that Float rounds up, an IoU equal to that Float is above it.
    @Test func thresholdIsDouble() {
        let boxes = [(0, 0, 10, 10), (0, 0, 10, 6)].map { box($0) }
        #expect(Double(Float(0.6)) > 0.6)
        #expect(BoxSuppression.kept(boxes, scores: [2, 1], threshold: 0.6) == [0])
        #expect(BoxSuppression.kept(boxes, scores: [2, 1], threshold: Double(Float(0.6))) == [0, 1])
    }

    @Test func cropEdgesCutOffButImageEdgesDoNot() {
        let crop = PixelBox(x0: 100, y0: 0, x1: 300, y1: 200)
        func isCut(_ x0: Int, _ y0: Int, _ x1: Int, _ y1: Int) -> Bool {
            PixelBox(x0: x0, y0: y0, x1: x1, y1: y1).isNearEdge(of: crop, imageWidth: 310, imageHeight: 400)
        }
        #expect(!isCut(121, 0, 299, 179))  // top and right are near the image's own edges
        #expect(isCut(120, 30, 200, 100))  // left: 20 pixels
        #expect(isCut(150, 30, 200, 180))  // bottom: 20 pixels
        #expect(!isCut(150, 30, 200, 179))
    }

    @Test func runsOfASmallMask() {
        let mask = runs([".#.", "##.", ".#."])
        #expect(mask.counts == [1, 1, 1, 3, 3])
        #expect(mask.area == 4)
        #expect(mask.extents == PixelBox(x0: 0, y0: 0, x1: 1, y1: 2))
        #expect(text(mask) == [".#.", "##.", ".#."])
        let full = runs(["##", "##"])
        #expect(full.counts == [0, 4])
        let empty = runs(["..", ".."])
        #expect(empty.counts == [4] && empty.area == 0)
        #expect(empty.extents == PixelBox(x0: 0, y0: 0, x1: 0, y1: 0))
    }

    @Test func aMaskIsPlacedInTheImage() {
        let mask = runs(["#.", "##"])
        let placed = mask.placed(in: PixelBox(x0: 1, y0: 1, x1: 3, y1: 3), width: 4, height: 3)
        #expect(text(placed) == ["....", ".#..", ".##."])
        // Columns that end and begin with ones no longer touch; those of a crop of the full height do.
        let tall = runs(["#.", "##"]).placed(in: PixelBox(x0: 1, y0: 0, x1: 3, y1: 2), width: 3, height: 2)
        #expect(text(tall) == [".#.", ".##"])
    }

    private func box(_ corners: (Int, Int, Int, Int)) -> PixelBox {
        PixelBox(x0: corners.0, y0: corners.1, x1: corners.2, y1: corners.3)
    }
}

/// A mask drawn with `#`.
func runs(_ rows: [String]) -> MaskRuns {
    MaskRuns(pixels: rows.joined().map { $0 == "#" }, width: rows[0].count, height: rows.count)
}

func text(_ mask: MaskRuns) -> [String] {
    let pixels = mask.pixels
    return (0..<mask.height).map { row in
        String((0..<mask.width).map { pixels[row * mask.width + $0] ? "#" : "." })
    }
}
