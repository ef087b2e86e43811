import Foundation

/// Sums and losses over enlarged masks straight from their definitions, in Double.
public enum MaskLossReference {
    /// The sums of one instance.
    public struct Sums {
        /// sum (1 - q)^2 b.
        public var focal = 0.0
        /// sum p m.
        public var overlap = 0.0
        /// sum p.
        public var prediction = 0.0
        /// sum m.
        public var target = 0.0
        /// Pixels in both masks.
        public var intersection = 0.0
        /// Pixels in either mask.
        public var union = 0.0
    }

    /// The sums of one plane of logits, enlarged to a canvas.
    public static func sums(
        _ logits: [Double], h: Int, w: Int, canvas: Int, target: [Double], threshold: Double
    ) -> Sums {
        let enlarged = BilinearReference.forward(logits, h: h, w: w, height: canvas, width: canvas)
        var sums = Sums()
        for (z, m) in zip(enlarged, target) {
            let p = 1 / (1 + exp(-z))
            let b = min(m == 1 ? log1p(exp(-z)) : log1p(exp(z)), 100)
            let missed = m == 1 ? 1 / (1 + exp(z)) : p
            sums.focal += missed * missed * b
            sums.overlap += p * m
            sums.prediction += p
            sums.target += m
            if z >= threshold && m == 1 { sums.intersection += 1 }
            if z >= threshold || m == 1 { sums.union += 1 }
        }
        return sums
    }

    /// 1 where the enlarged logits are above 0.
    public static func mask(_ logits: [Double], h: Int, w: Int, canvas: Int) -> [Double] {
        BilinearReference.forward(logits, h: h, w: w, height: canvas, width: canvas).map { $0 > 0 ? 1 : 0 }
    }
}
