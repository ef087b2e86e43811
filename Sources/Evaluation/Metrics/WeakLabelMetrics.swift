public import Datasets

// Without masks a prediction can only be compared with its weak labels:
//   box consistency = |B and A| / |B or A|,   B the tight box of the predicted pixels, A the annotated box
//   point hit rate  = share of the annotated points that are inside the prediction if positive, outside if negative;
//                     of a point-prompted mask those that were not its prompt, and the points of its neighbours as negative

/// Agreement of one predicted mask with weak labels.
public struct WeakLabelMetrics: Sendable {
    private let prediction: [Bool]
    private let width: Int
    private let height: Int

    /// Creates the scores of a mask of the original image. // [H, W]
    public init(prediction: [Bool], width: Int, height: Int) {
        precondition(prediction.count == width * height)
        (self.prediction, self.width, self.height) = (prediction, width, height)
    }

    /// The tight box of the predicted pixels; nil without pixels.
    public var tightBox: Box? {
        var (left, top, right, bottom) = (width, height, -1, -1)
        for y in 0..<height {
            for x in 0..<width where prediction[y * width + x] {
                (left, right) = (min(left, x), max(right, x))
                (top, bottom) = (min(top, y), y)
            }
        }
        guard right >= 0 else { return nil }
        return Box(x0: Double(left), y0: Double(top), x1: Double(right + 1), y1: Double(bottom + 1))
    }

    /// The IoU of the tight box of the predicted pixels with an annotated box; 0 without predicted pixels.
    public func boxIoU(with box: Box) -> Double {
        guard let own = tightBox else { return 0 }
        let overlap =
            max(0, min(own.x1, box.x1) - max(own.x0, box.x0)) * max(0, min(own.y1, box.y1) - max(own.y0, box.y0))
        func area(_ box: Box) -> Double { (box.x1 - box.x0) * (box.y1 - box.y0) }
        let union = area(own) + area(box) - overlap
        return union > 0 ? overlap / union : 0
    }

    /// 1 for every point on its correct side, otherwise 0; points outside the image are outside every mask.
    ///
    /// - Parameter object: Points on the object. If the prediction contains none of them, it is another object's or
    ///   empty, and every hit is 0; an object without such points is not tested.
    public func hits(_ points: [LabelledPoint], of object: [LabelledPoint] = []) -> [Double] {
        let isOfObject = object.isEmpty || object.contains(where: contains)
        return points.map { isOfObject && contains($0) == $0.isForeground ? 1 : 0 }
    }

    private func contains(_ point: LabelledPoint) -> Bool {
        let (x, y) = (Int(point.x.rounded(.down)), Int(point.y.rounded(.down)))
        return x >= 0 && y >= 0 && x < width && y < height && prediction[y * width + x]
    }
}
