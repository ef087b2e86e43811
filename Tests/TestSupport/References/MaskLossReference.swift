import Foundation

/// Sums and losses over enlarged masks straight from their definitions, in Double.
public enum MaskLossReference {
    /// The sums of one instance.
    public struct Sums {
        /// sum c (1 - q)^2 b.
        public var focal = 0.0
        /// sum M p m.
        public var overlap = 0.0
        /// sum M p.
        public var prediction = 0.0
        /// sum M m.
        public var target = 0.0
        /// Pixels in both masks.
        public var intersection = 0.0
        /// Pixels in either mask.
        public var union = 0.0
    }

    /// The sums of one plane of logits, enlarged to a canvas; `weights` are c and theta, with M = [c > theta], or M = c
    /// if theta is nil.
    public static func sums(
        _ logits: [Double], h: Int, w: Int, canvas: Int, target: [Double], threshold: Double,
        weights: (values: [Double], theta: Double?)? = nil
    ) -> Sums {
        let enlarged = BilinearReference.forward(logits, h: h, w: w, height: canvas, width: canvas)
        var sums = Sums()
        for (place, (z, m)) in zip(enlarged, target).enumerated() {
            let c = weights?.values[place] ?? 1
            let share = weights?.theta.map { c > $0 ? 1 : 0 } ?? c
            let p = 1 / (1 + exp(-z))
            let b = min(m == 1 ? log1p(exp(-z)) : log1p(exp(z)), 100)
            let missed = m == 1 ? 1 / (1 + exp(z)) : p
            sums.focal += c * missed * missed * b
            sums.overlap += share * p * share * m
            sums.prediction += share * p
            sums.target += share * m
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
