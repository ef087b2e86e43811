// A pixel of a region R with weights c (all 1 without weights) is drawn with probability c_i / sum_{j in R} c_j: for a uniform
// number r in [0, 1), it is the first pixel in row order for which
//   c_1 + ... + c_i > r (c_1 + ... + c_n),   summed in Double over the pixels of R.

/// Draws of pixels from regions, with chances proportional to weights.
public enum RegionSampling {
    /// The index of the pixel that a uniform number picks; nil if the region is empty or all its weights are 0.
    ///
    /// - Parameters:
    ///   - region: R.
    ///   - weights: c of every pixel of the image, from 0; nil for equal chances. // [H, W]
    ///   - uniform: r, from 0 and below 1.
    public static func pixel(of region: PixelMask, weights: [Float]? = nil, uniform: Double) -> Int? {
        precondition(weights.map { $0.count == region.pixels.count } ?? true, "weights of another image")
        let total = sum(region, weights)
        guard total > 0 else { return nil }
        let goal = uniform * total
        var (passed, last) = (0.0, Int?.none)
        for index in region.pixels.indices where region.pixels[index] {
            let weight = weights.map { Double($0[index]) } ?? 1
            passed += weight
            if passed > goal { return index }
            if weight > 0 { last = index }
        }
        // r * total may round up to the total.
        return last
    }

    /// Different pixels, one for each uniform number: a drawn pixel's weight becomes 0. Fewer if the region has no more.
    ///
    /// - Parameters: As of `pixel`.
    public static func pixels(of region: PixelMask, weights: [Float]? = nil, uniforms: [Double]) -> [Int] {
        var (left, drawn) = (region, [Int]())
        for uniform in uniforms {
            guard let index = pixel(of: left, weights: weights, uniform: uniform) else { break }
            left.pixels[index] = false
            drawn.append(index)
        }
        return drawn
    }

    /// The probability of every pixel; all 0 if the region is empty or all its weights are 0. // [H, W]
    public static func probabilities(of region: PixelMask, weights: [Float]? = nil) -> [Double] {
        let total = sum(region, weights)
        return region.pixels.indices.map { index in
            region.pixels[index] && total > 0 ? (weights.map { Double($0[index]) } ?? 1) / total : 0
        }
    }

    private static func sum(_ region: PixelMask, _ weights: [Float]?) -> Double {
        var total = 0.0
        for index in region.pixels.indices where region.pixels[index] {
            total += weights.map { Double($0[index]) } ?? 1
        }
        return total
    }
}
