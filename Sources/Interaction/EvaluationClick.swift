// The deterministic click of interactive evaluation (SUM, Liu et al. 2024, section 4; RITM's convention for ties): of the missed
// and of the wrongly taken region, the one with the pixel farthest from its border; that pixel. Distances are exact squares
// of integers, so ties are real: they go to the wrongly taken region, and to the first pixel in row order.

/// The next click of a user who always clicks into the middle of the worst error.
public struct EvaluationClick: Sendable, Equatable {
    /// Pixel and label.
    public let click: Click
    /// Its squared distance from the border of its region.
    public let squaredDistance: Int

    /// The click for a prediction; nil where nothing is wrong, or all that is wrong has been clicked.
    ///
    /// - Parameters:
    ///   - prediction: The mask so far: an empty one before the first click.
    ///   - target: The true mask.
    ///   - earlier: Clicks so far, whose pixels are no candidates.
    public init?(on prediction: PixelMask, target: PixelMask, after earlier: [Click] = []) {
        let clicked = Set(earlier.map { $0.y * target.width + $0.x })
        let missed = Self.farthest(target.subtracting(prediction), without: clicked)
        let wrong = Self.farthest(prediction.subtracting(target), without: clicked)
        guard max(missed.square, wrong.square) > 0 else { return nil }
        let isMissed = missed.square > wrong.square
        let (index, square) = isMissed ? missed : wrong
        click = Click(x: index % target.width, y: index / target.width, isForeground: isMissed)
        squaredDistance = square
    }

    /// The pixel of a region with the largest distance from its border, the first in row order; a distance of 0 without one.
    package static func farthest(_ region: PixelMask, without clicked: Set<Int>) -> (index: Int, square: Int) {
        var best = (index: 0, square: 0)
        for (index, square) in SquaredDistanceTransform.distances(in: region).enumerated()
        where square > best.square && !clicked.contains(index) {
            best = (index, square)
        }
        return best
    }
}
