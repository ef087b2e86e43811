// The sums and the gradient of one canvas row, 16 pixels at a time. Both functions are inlined into their callers, which
// pass `focal` as a literal and `weights` as nil or as non-nil rows: each of the four forms is compiled separately,
// so a loss without weights or without the focal term does not pay for them.

/// The weights of the pixels of a row, in the order of the row.
struct RowWeights {
    /// c.
    let focal: UnsafePointer<Float>
    /// M.
    let dice: UnsafePointer<Float>
}

extension MaskLossKernel {
    /// The sums of one row.
    @inline(__always)
    static func rowSums(
        _ z: UnsafePointer<Float>, _ m: UnsafePointer<Float>, _ weights: RowWeights?, _ count: Int,
        _ threshold: Float, focal hasFocal: Bool
    ) -> Sums {
        let zero = Vector(repeating: 0)
        let one = Vector(repeating: 1)
        var (focal, overlap, prediction, target) = (zero, zero, zero, zero)
        var (intersection, union) = (zero, zero)
        for i in stride(from: 0, to: count, by: Vector.scalarCount) {
            let (logit, mask) = (Vector(loading: z + i), Vector(loading: m + i))
            let pixel = Pixel(logit, mask)
            if hasFocal {
                var square = pixel.complement * pixel.complement
                if let weights { square *= Vector(loading: weights.focal + i) }
                focal.addProduct(square, pixel.crossEntropy)
            }
            if let weights {
                let share = Vector(loading: weights.dice + i)
                let probability = share * pixel.probability
                // Probability and target are weighted each; a share of 0 or 1 is its own square.
                let weighted = share * mask
                overlap.addProduct(probability, weighted)
                prediction += probability
                target += weighted
            } else {
                overlap.addProduct(pixel.probability, mask)
                prediction += pixel.probability
                target += mask
            }
            let predicted = zero.replacing(with: one, where: logit .>= threshold)
            intersection.addProduct(predicted, mask)
            union += predicted.maximum(mask)
        }
        return Sums(
            focal: Double(focal.sum()), overlap: Double(overlap.sum()), prediction: Double(prediction.sum()),
            target: Double(target.sum()), intersection: Double(intersection.sum()), union: Double(union.sum()))
    }

    /// Writes dL/dz~ over z~.
    @inline(__always)
    static func rowGradient(
        _ z: UnsafeMutablePointer<Float>, _ m: UnsafePointer<Float>, _ weights: RowWeights?, _ count: Int,
        _ slopes: Slopes, focal hasFocal: Bool
    ) {
        for i in stride(from: 0, to: count, by: Vector.scalarCount) {
            let mask = Vector(loading: m + i)
            let inside = mask .> 0.5
            let pixel = Pixel(Vector(loading: z + i), mask)
            var insideSlope = Vector(repeating: slopes.inside)
            if let weights {
                // M c_out + M^2 (c_in - c_out) in the target, over M; the very slope where M is 1.
                let share = Vector(loading: weights.dice + i)
                let soft = share.times(
                    Vector(repeating: slopes.inside - slopes.outside), plus: Vector(repeating: slopes.outside))
                insideSlope = soft.replacing(with: insideSlope, where: share .== 1)
            }
            let dice = Vector(repeating: slopes.outside).replacing(with: insideSlope, where: inside)
            var gradient = dice * (pixel.truth * pixel.complement)
            if let weights { gradient *= Vector(loading: weights.dice + i) }
            if hasFocal {
                var square = pixel.complement * pixel.complement
                if let weights { square *= Vector(loading: weights.focal + i) }
                // log q is clamped at -100, where the focal term is flat.
                let slope = pixel.truth * pixel.crossEntropy * -2 - pixel.complement
                let focal = (square * slope).replacing(with: 0, where: pixel.crossEntropy .>= 100)
                let signed = (-focal).replacing(with: focal, where: inside)
                gradient.addProduct(signed, Vector(repeating: slopes.focal))
            }
            gradient.store(z + i)
        }
    }

    /// One vector of pixels: p, q, 1 - q and b.
    struct Pixel {
        let probability: Vector
        let truth: Vector
        let complement: Vector
        let crossEntropy: Vector

        @inline(__always) init(_ logit: Vector, _ mask: Vector) {
            let inside = mask .> 0.5
            let u = (-logit).replacing(with: logit, where: inside)
            let magnitude = u.maximum(-u)
            let decay = VectorMath.exp(-magnitude)
            let large = Vector(repeating: 1) / (decay + 1)
            let small = decay * large
            let positive = u .>= 0
            truth = small.replacing(with: large, where: positive)
            complement = large.replacing(with: small, where: positive)
            probability = complement.replacing(with: truth, where: inside)
            let softplus = VectorMath.log(decay + 1) + (-u).maximum(Vector(repeating: 0))
            crossEntropy = softplus.minimum(Vector(repeating: 100))
        }
    }
}
