// A pseudo-mask's probability sigma(s) and that of its refined form sigma(r), on the decoder's grid over the whole square of the
// model, as bytes: 255 sigma, rounded. Their difference is how far each pixel is not to be trusted (SUM, Liu et al. 2024).

/// Probabilities of an image's pseudo-masks and of their refined forms.
public struct PseudoMaps: Sendable, Equatable {
    /// Side of the decoder's grid.
    public let side: Int
    /// 255 sigma(s). // [n, side, side]
    public let probability: [UInt8]
    /// 255 sigma(r). // [n, side, side]
    public let refined: [UInt8]

    /// Joins probabilities of the same masks.
    public init(side: Int, probability: [UInt8], refined: [UInt8]) {
        precondition(
            probability.count == refined.count && probability.count % (side * side) == 0,
            "\(probability.count) and \(refined.count) values on a grid of \(side)")
        (self.side, self.probability, self.refined) = (side, probability, refined)
    }

    /// n.
    public var count: Int { probability.count / (side * side) }

    /// The maps of some masks, in the given order.
    public func selecting(_ masks: [Int]) -> PseudoMaps {
        let area = side * side
        func chosen(_ values: [UInt8]) -> [UInt8] { masks.flatMap { values[$0 * area..<($0 + 1) * area] } }
        return PseudoMaps(side: side, probability: chosen(probability), refined: chosen(refined))
    }

    /// The mean over a mask's region, where either probability is at least 1/2, of |sigma(s) - sigma(r)|; 0 for an empty region.
    public func meanUncertainty(of mask: Int) -> Double {
        var (sum, pixels) = (0, 0)
        for place in mask * side * side..<(mask + 1) * side * side {
            let (s, r) = (Int(probability[place]), Int(refined[place]))
            guard s > 127 || r > 127 else { continue }
            sum += abs(s - r)
            pixels += 1
        }
        return pixels == 0 ? 0 : Double(sum) / 255 / Double(pixels)
    }
}
