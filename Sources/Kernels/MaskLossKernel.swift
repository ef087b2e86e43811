public import Tensors

// Over the S x S canvas of n instances, from low-resolution logits z [n, h, w] (WeSAM section 3; spec 6.2):
//   z~ = bilinear(z),   p = sigma(z~),   m in {0, 1} the target,   q = p where m = 1, 1 - p where m = 0
//   b = -log q (at most 100),   focal sum = sum (1 - q)^2 b,   dice sums = sum p m, sum p, sum m
//   counts: |[z~ >= t] and m|, |[z~ >= t] or m|
// Gradient of  a focal + c_in sum_{m=1} p + c_out sum_{m=0} p:
//   d/dz~ = +-a (2 q (1-q)^2 log q - (1-q)^3)  +  c_m p (1 - p),   + for m = 1
//   dz += bilinear'(d/dz~)
//
// log q is -softplus(-u), u = z~ or -z~: exact where sigma rounds to 0 or 1 in single precision.
// The canvas is never held: one row of it is interpolated at a time, for the losses and again for the gradient.
// A task of the sums is one instance and 16 canvas rows, of the gradient one instance and 16 rows of z. Sums run in
// 16 lanes along a row and in Double from row to row and task to task, always in the same order. Where the focal term is
// not asked for, its logarithm is not computed.

/// What a mask loss compares the prediction with.
public enum MaskTarget: Sendable {
    /// Pseudo labels: the canvas of other logits, thresholded at 0. // [n, h, w]
    case logits(Tensor)
    /// Numbers that are 0 or 1, on the canvas. // [n, S, S]
    case values(Tensor)
    /// Bytes that are 0 or 1, on the canvas. // [n, S, S]
    case bytes([UInt8])
}

/// Focal and dice sums, counts and gradients of mask losses on the full canvas.
public enum MaskLossKernel {
    /// Rows of the canvas in a task of the sums.
    static let bandRows = 16

    /// The sums of one instance over its canvas.
    public struct Sums: Sendable, Equatable {
        /// sum (1 - q)^2 b.
        public var focal = 0.0
        /// sum p m.
        public var overlap = 0.0
        /// sum p.
        public var prediction = 0.0
        /// sum m.
        public var target = 0.0
        /// Pixels that are in the thresholded prediction and in the target.
        public var intersection = 0.0
        /// Pixels that are in either.
        public var union = 0.0

        /// No pixel yet.
        public init() {}

        init(
            focal: Double, overlap: Double, prediction: Double, target: Double, intersection: Double, union: Double
        ) {
            (self.focal, self.overlap, self.prediction) = (focal, overlap, prediction)
            (self.target, self.intersection, self.union) = (target, intersection, union)
        }

        /// Adds other sums.
        public mutating func add(_ other: Sums) {
            focal += other.focal
            overlap += other.overlap
            prediction += other.prediction
            target += other.target
            intersection += other.intersection
            union += other.union
        }
    }

    /// The sums of every instance.
    ///
    /// - Parameters:
    ///   - logits: z. // [n, h, w]
    ///   - target: m, for the same instances.
    ///   - canvas: S, a multiple of 16.
    ///   - threshold: t: a pixel counts as predicted when its logit is at least this.
    ///   - includingFocal: False leaves the focal sum at 0.
    public static func sums(
        _ logits: Tensor, target: MaskTarget, canvas: Int, threshold: Float, includingFocal: Bool = true,
        in workspace: Workspace
    ) -> [Sums] {
        let count = logits.shape[0]
        let rows = CanvasRows(logits, target, canvas)
        let bands = (canvas + bandRows - 1) / bandRows
        // Doubles in pairs of floats: six numbers per task.
        let partial = UnsafeMutableRawPointer(workspace.jointScratch(floats: count * bands * 12)).bindMemory(
            to: Sums.self, capacity: count * bands)
        rows.withTarget { bytes in
            workspace.pool.parallelFor(count * bands) { task, worker in
                let (instance, band) = task.quotientAndRemainder(dividingBy: bands)
                let z = workspace.scratch(worker: worker, slot: 0, floats: canvas)
                let m = workspace.scratch(worker: worker, slot: 1, floats: canvas)
                let scratch = workspace.scratch(worker: worker, slot: 2, floats: rows.scratchFloats)
                var total = Sums()
                for row in band * bandRows..<min((band + 1) * bandRows, canvas) {
                    rows.load(instance, row, bytes, z, m, scratch: scratch)
                    total.add(
                        includingFocal
                            ? rowSums(z, m, canvas, threshold, focal: true)
                            : rowSums(z, m, canvas, threshold, focal: false))
                }
                (partial + task).initialize(to: total)
            }
        }
        return (0..<count).map { instance in
            var total = Sums()
            for band in 0..<bands { total.add(partial[instance * bands + band]) }
            return total
        }
    }

    /// Factors of the gradient.
    public struct Slopes: Sendable {
        /// a: dL / d(focal sum).
        public var focal: Float
        /// c_in: dL/dp where m = 1.
        public var inside: Float
        /// c_out: dL/dp where m = 0.
        public var outside: Float

        /// Creates factors.
        public init(focal: Float, inside: Float, outside: Float) {
            (self.focal, self.inside, self.outside) = (focal, inside, outside)
        }
    }

    /// Adds the gradient to dZ.
    ///
    /// - Parameters:
    ///   - logits: z. // [n, h, w]
    ///   - slopes: The factors, the same for all instances.
    ///   - dLogits: dz, added to. // [n, h, w]
    public static func addGradient(
        _ logits: Tensor, target: MaskTarget, canvas: Int, slopes: Slopes, into dLogits: inout Tensor,
        in workspace: Workspace
    ) {
        let (count, height, width) = (logits.shape[0], logits.shape[1], logits.shape[2])
        precondition(dLogits.count == logits.count)
        let rows = CanvasRows(logits, target, canvas)
        let bands = (height + bandRows - 1) / bandRows
        let gradient = dLogits.mutablePointer
        rows.withTarget { bytes in
            workspace.pool.parallelFor(count * bands) { task, worker in
                let (instance, band) = task.quotientAndRemainder(dividingBy: bands)
                let z = workspace.scratch(worker: worker, slot: 0, floats: canvas)
                let m = workspace.scratch(worker: worker, slot: 1, floats: canvas)
                let scratch = workspace.scratch(worker: worker, slot: 2, floats: rows.scratchFloats)
                let owned = band * bandRows..<min((band + 1) * bandRows, height)
                let plane = gradient + instance * height * width
                for row in BilinearResizeKernel.rowsTouching(owned, rows.map) {
                    rows.load(instance, row, bytes, z, m, scratch: scratch)
                    if slopes.focal == 0 {
                        rowGradient(z, m, canvas, slopes, focal: false)
                    } else {
                        rowGradient(z, m, canvas, slopes, focal: true)
                    }
                    rows.accumulate(z, row: row, into: plane, sourceRows: owned, scratch: scratch)
                }
            }
        }
    }

    @inline(__always)
    private static func rowSums(
        _ z: UnsafePointer<Float>, _ m: UnsafePointer<Float>, _ count: Int, _ threshold: Float, focal hasFocal: Bool
    ) -> Sums {
        let zero = Vector(repeating: 0)
        let one = Vector(repeating: 1)
        var (focal, overlap, prediction, target) = (zero, zero, zero, zero)
        var (intersection, union) = (zero, zero)
        for i in stride(from: 0, to: count, by: Vector.scalarCount) {
            let (logit, mask) = (Vector(loading: z + i), Vector(loading: m + i))
            let pixel = Pixel(logit, mask)
            if hasFocal { focal.addProduct(pixel.complement * pixel.complement, pixel.crossEntropy) }
            overlap.addProduct(pixel.probability, mask)
            prediction += pixel.probability
            target += mask
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
    private static func rowGradient(
        _ z: UnsafeMutablePointer<Float>, _ m: UnsafePointer<Float>, _ count: Int, _ slopes: Slopes,
        focal hasFocal: Bool
    ) {
        for i in stride(from: 0, to: count, by: Vector.scalarCount) {
            let mask = Vector(loading: m + i)
            let inside = mask .> 0.5
            let pixel = Pixel(Vector(loading: z + i), mask)
            let dice = Vector(repeating: slopes.outside).replacing(with: slopes.inside, where: inside)
            var gradient = dice * (pixel.truth * pixel.complement)
            if hasFocal {
                let square = pixel.complement * pixel.complement
                // log q is held at -100, where the focal term is flat.
                let slope = pixel.truth * pixel.crossEntropy * -2 - pixel.complement
                let focal = (square * slope).replacing(with: 0, where: pixel.crossEntropy .>= 100)
                let signed = (-focal).replacing(with: focal, where: inside)
                gradient.addProduct(signed, Vector(repeating: slopes.focal))
            }
            gradient.store(z + i)
        }
    }

    /// One vector of pixels: p, q, 1 - q and b.
    private struct Pixel {
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
