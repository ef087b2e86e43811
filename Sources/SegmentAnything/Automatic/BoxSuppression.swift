/// Non-maximum suppression: of masks with nearly the same box the best is kept.
public enum BoxSuppression {
    /// Indices of the boxes that are kept, the highest score first; of equal scores the earlier box is first.
    ///
    /// Boxes are visited by descending score, and each drops the later ones whose IoU with it is above the threshold.
    /// Areas are (x1 - x0) (y1 - y0), so a box of one column has none and is never dropped (torchvision's `nms`).
    public static func kept(_ boxes: [PixelBox], scores: [Float], threshold: Double) -> [Int] {
        precondition(boxes.count == scores.count, "\(scores.count) scores for \(boxes.count) boxes")
        let order = boxes.indices.sorted { scores[$0] != scores[$1] ? scores[$0] > scores[$1] : $0 < $1 }
        let areas = boxes.map { Float($0.width) * Float($0.height) }
        var isDropped = [Bool](repeating: false, count: boxes.count)
        var kept: [Int] = []
        for (place, index) in order.enumerated() where !isDropped[index] {
            kept.append(index)
            for other in order[(place + 1)...] where !isDropped[other] {
                let (a, b) = (boxes[index], boxes[other])
                let width = max(0, min(a.x1, b.x1) - max(a.x0, b.x0))
                let height = max(0, min(a.y1, b.y1) - max(a.y0, b.y0))
                let both = Float(width) * Float(height)
                // NaN (0 / 0) is above no threshold.
                if Double(both / (areas[index] + areas[other] - both)) > threshold { isDropped[other] = true }
            }
        }
        return kept
    }
}
