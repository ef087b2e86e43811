/// How a box prompt is made inaccurate in training, as users draw it.
public enum BoxJitter: String, CaseIterable, Sendable {
    /// SAM's rule (Kirillov et al. 2023, appendix A): each coordinate moves by a normal number times a tenth of the side,
    /// at most 20 pixels.
    case sam
    /// The helper released with SUM: both corners move alike and never to the left or up, so the size stays.
    case released

    /// The largest shift, pixels.
    private static let limit: Float = 20
    /// The deviation of the noise as a part of the side.
    private static let share: Float = 0.1

    /// The jittered box, clipped to the image.
    ///
    /// - Parameters:
    ///   - box: x0, y0, x1, y1. // [4]
    ///   - normal: Standard normal numbers; `released` reads the first two. // [4]
    public func apply(to box: [Float], normal: [Float], width: Int, height: Int) -> [Float] {
        precondition(box.count == 4 && normal.count == 4, "a box has four coordinates")
        let sides = [box[2] - box[0], box[3] - box[1]]
        let limits = [Float(width), Float(height)]
        return box.indices.map { place in
            let axis = place % 2
            let noise = (self == .sam ? normal[place] : normal[axis]) * (Self.share * sides[axis])
            let shift = min(max(noise, self == .sam ? -Self.limit : 0), Self.limit)
            return min(max(box[place] + shift, 0), limits[axis])
        }
    }
}
