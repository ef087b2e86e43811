import Datasets
import Evaluation
import Testing

@Suite struct WeakMetricTests {
    private func square(_ columns: Range<Int>, _ rows: Range<Int>, width: Int, height: Int) -> [Bool] {
        (0..<(width * height)).map { columns.contains($0 % width) && rows.contains($0 / width) }
    }

    @Test func theRimIsTwoPercentOfTheDiagonalWide() {
        #expect(BoundaryIoU.distance(width: 300, height: 400) == 10)
        #expect(BoundaryIoU.distance(width: 20, height: 20) == 1)
        #expect(BoundaryIoU.distance(width: 1040, height: 1388) == 35)
    }

    @Test func aRimIsTheMaskWithoutItsErosion() {
        let mask = square(3..<10, 2..<8, width: 12, height: 10)
        let rim = BoundaryIoU.rim(mask, width: 12, height: 10, distance: 2)
        let inner = square(5..<8, 4..<6, width: 12, height: 10)
        #expect(zip(mask, inner).map { $0 && !$1 } == rim)
        // The edge of the image is a contour too.
        let whole = [Bool](repeating: true, count: 25)
        #expect(BoundaryIoU.rim(whole, width: 5, height: 5, distance: 1).count { $0 } == 16)
    }

    /// The plain IoU of two large squares one pixel apart is nearly 1, that of their rims is not.
    @Test func boundariesSeeWhatAreasDoNot() {
        let (width, height) = (100, 100)  // a rim of 3
        let truth = square(10..<90, 10..<90, width: width, height: height)
        let shifted = square(13..<93, 10..<90, width: width, height: height)
        #expect(BoundaryIoU.value(truth, truth, width: width, height: height) == 1)
        let value = BoundaryIoU.value(shifted, truth, width: width, height: height)
        // Rims of 924 pixels: of the upper and lower bands 77 columns x 3 rows each agree, and nothing of the sides but
        // the 3 columns where one's side meets the other's band.
        let first = BoundaryIoU.rim(truth, width: width, height: height, distance: 3)
        let second = BoundaryIoU.rim(shifted, width: width, height: height, distance: 3)
        let both = zip(first, second).count { $0 && $1 }
        #expect(first.count { $0 } == 924 && both == 462)
        #expect(value == 462.0 / Double(2 * 924 - 462))
        let none = [Bool](repeating: false, count: width * height)
        #expect(BoundaryIoU.value(none, none, width: width, height: height) == 1)
        #expect(BoundaryIoU.value(none, truth, width: width, height: height) == 0)
    }

    @Test func boxesAndPointsJudgeAPrediction() {
        let metrics = WeakLabelMetrics(
            prediction: square(2..<6, 1..<5, width: 10, height: 8), width: 10, height: 8)
        #expect(metrics.tightBox == Box(x0: 2, y0: 1, x1: 6, y1: 5))
        #expect(metrics.boxIoU(with: Box(x0: 2, y0: 1, x1: 6, y1: 5)) == 1)
        #expect(metrics.boxIoU(with: Box(x0: 4, y0: 1, x1: 8, y1: 5)) == 8.0 / 24)
        #expect(metrics.boxIoU(with: Box(x0: 7, y0: 6, x1: 9, y1: 8)) == 0)
        func hit(_ x: Double, _ y: Double, _ isForeground: Bool) -> [Double] {
            metrics.hits([LabelledPoint(x: x, y: y, isForeground: isForeground)])
        }
        #expect(hit(2, 1, true) == [1] && hit(6, 1, true) == [0] && hit(6, 1, false) == [1] && hit(2, 1, false) == [0])
        #expect(hit(-3, 40, false) == [1] && hit(-3, 40, true) == [0])
        // A mask of something else hits nothing.
        let (on, off) = (LabelledPoint(x: 3, y: 2, isForeground: true), LabelledPoint(x: 8, y: 6, isForeground: true))
        let others = [LabelledPoint(x: 9, y: 7, isForeground: false), LabelledPoint(x: 2, y: 1, isForeground: true)]
        #expect(metrics.hits(others, of: [on, off]) == [1, 1] && metrics.hits(others, of: [off]) == [0, 0])
        let empty = WeakLabelMetrics(prediction: [Bool](repeating: false, count: 80), width: 10, height: 8)
        #expect(empty.tightBox == nil && empty.boxIoU(with: Box(x0: 0, y0: 0, x1: 9, y1: 7)) == 0)
    }
}
