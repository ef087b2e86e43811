import Machine
public import Tensors

// Over the S x S canvas of n instances, from low-resolution logits z [n, h, w] (WeSAM section 3 and its `losses.py`):
//   z~ = bilinear(z),   p = sigma(z~),   m in {0, 1} the target,   q = p where m = 1, 1 - p where m = 0
//   b = -log q (at most 100),   focal sum = sum (1 - q)^2 b,   dice sums = sum p m, sum p, sum m
//   counts: |[z~ >= t] and m|, |[z~ >= t] or m|
// Gradient of  a focal + c_in sum_{m=1} p + c_out sum_{m=0} p:
//   d/dz~ = +-a (2 q (1-q)^2 log q - (1-q)^3)  +  c_m p (1 - p),   + for m = 1
//   dz += bilinear'(d/dz~)
// With pixel weights c in [0, 1] and M = [c > theta], or M = c without theta:
//   focal sum = sum c (1 - q)^2 b,   dice sums = sum M p M m, sum M p, sum M m,   counts as above
//   d/dz~ = +-a c (2 q (1-q)^2 log q - (1-q)^3)  +  (c_out + M m (c_in - c_out)) M p (1 - p)
// A balance alpha_m multiplies c in the focal terms. Outside the area of a canvas z~ is so small and m = 0 that all of these are
// exactly 0.
//
// log q is -softplus(-u), u = z~ or -z~: exact where sigma rounds to 0 or 1 in single precision.
// The full canvas is never stored: one row of it is interpolated at a time, for the losses and again for the gradient.
// A task of the sums is one instance and 16 canvas rows, of the gradient one instance and 16 rows of z. Sums run in
// 16 lanes along a row and in Double from row to row and task to task, always in the same order. Without a focal term
// its logarithm is not computed; without weights, none are read (see MaskLossKernel+Rows).

/// The target of a mask loss.
public enum MaskTarget: Sendable {
    /// Pseudo labels: the canvas of other logits, thresholded at 0. // [n, h, w]
    case logits(Tensor)
    /// Numbers that are 0 or 1, on the canvas. // [n, S, S]
    case values(Tensor)
    /// Bytes that are 0 or 1, on the canvas. // [n, S, S]
    case bytes([UInt8])
    /// Pseudo labels: the canvas of probabilities, thresholded at 1/2. // [n, h, w]
    case probabilities(Tensor)
}

/// Focal and dice sums, counts and gradients of mask losses on the full canvas.
public enum MaskLossKernel {
    /// Rows of the canvas in a task of the sums.
    static let bandRows = 16

    /// The sums of one instance over its canvas.
    public struct Sums: Sendable, Equatable {
        /// sum c (1 - q)^2 b, with c = 1 where there are no weights.
        public var focal = 0.0
        /// sum M p M m, with M = 1 where there are no weights.
        public var overlap = 0.0
        /// sum M p.
        public var prediction = 0.0
        /// sum M m.
        public var target = 0.0
        /// Pixels that are in the thresholded prediction and in the target.
        public var intersection = 0.0
        /// Pixels that are in either.
        public var union = 0.0

        /// Creates the sums of no pixels.
        public init() {}

        init(
            focal: Double, overlap: Double, prediction: Double, target: Double, intersection: Double, union: Double
        ) {
            (self.focal, self.overlap, self.prediction) = (focal, overlap, prediction)
            (self.target, self.intersection, self.union) = (target, intersection, union)
        }

        /// Adds the sums of other pixels.
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
    ///   - weights: c and theta, for the same instances. Intersection and union count all pixels equally: the IoU that
    ///     the model learns to predict is that of whole masks, and SUM weights only its focal and dice loss.
    ///   - includingFocal: False leaves the focal sum at 0.
    public static func sums(
        _ logits: Tensor, target: MaskTarget, canvas: Int, threshold: Float, weights: PixelWeights? = nil,
        includingFocal: Bool = true, in workspace: Workspace
    ) -> [Sums] {
        sums(
            logits, on: MaskCanvas(target, side: canvas, weights: weights), threshold: threshold,
            includingFocal: includingFocal, in: workspace)
    }

    /// The sums of every instance on the area of a canvas.
    ///
    /// - Parameters:
    ///   - logits: z. // [n, h, w]
    ///   - area: Targets, weights and the part of the canvas that counts.
    ///   - threshold: t, as above.
    ///   - includingFocal: False leaves the focal sum at 0.
    public static func sums(
        _ logits: Tensor, on area: MaskCanvas, threshold: Float, includingFocal: Bool = true, in workspace: Workspace
    ) -> [Sums] {
        let (count, canvas) = (logits.shape[0], area.side)
        let rows = CanvasRows(logits, area)
        let bands = (area.rows + bandRows - 1) / bandRows
        // Each Double takes two floats of scratch: six numbers per task.
        let partial = UnsafeMutableRawPointer(workspace.jointScratch(floats: count * bands * 12)).bindMemory(
            to: Sums.self, capacity: count * bands)
        rows.withTarget { bytes in
            workspace.pool.parallelFor(count * bands) { task, worker in
                let (instance, band) = task.quotientAndRemainder(dividingBy: bands)
                let z = workspace.scratch(worker: worker, slot: 0, floats: canvas)
                let m = workspace.scratch(worker: worker, slot: 1, floats: canvas)
                let scratch = workspace.scratch(worker: worker, slot: 2, floats: rows.scratchFloats)
                var total = Sums()
                for row in band * bandRows..<min((band + 1) * bandRows, area.rows) {
                    rows.load(instance, row, bytes, z, m, scratch: scratch)
                    if let counts = rows.weights(instance, row, m, in: workspace, worker: worker) {
                        total.add(
                            includingFocal
                                ? rowSums(z, m, counts, canvas, threshold, focal: true)
                                : rowSums(z, m, counts, canvas, threshold, focal: false))
                    } else {
                        total.add(
                            includingFocal
                                ? rowSums(z, m, nil, canvas, threshold, focal: true)
                                : rowSums(z, m, nil, canvas, threshold, focal: false))
                    }
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
        /// c_in: dL/dp where m = 1, of a pixel with full weight (M = 1).
        public var inside: Float
        /// c_out: dL/dp where m = 0, of a pixel with full weight (M = 1).
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
    ///   - weights: c and theta, as passed for the sums.
    ///   - dLogits: dz, added to. // [n, h, w]
    public static func addGradient(
        _ logits: Tensor, target: MaskTarget, canvas: Int, slopes: Slopes, weights: PixelWeights? = nil,
        into dLogits: inout Tensor, in workspace: Workspace
    ) {
        addGradient(
            logits, on: MaskCanvas(target, side: canvas, weights: weights),
            slopes: Array(repeating: slopes, count: logits.shape[0]), into: &dLogits, in: workspace)
    }

    /// Adds the gradient of a loss on the area of a canvas to dZ.
    ///
    /// - Parameters:
    ///   - logits: z. // [n, h, w]
    ///   - area: As passed for the sums.
    ///   - slopes: The factors of each instance. // [n]
    ///   - dLogits: dz, added to. // [n, h, w]
    public static func addGradient(
        _ logits: Tensor, on area: MaskCanvas, slopes: [Slopes], into dLogits: inout Tensor, in workspace: Workspace
    ) {
        let (count, height, width) = (logits.shape[0], logits.shape[1], logits.shape[2])
        precondition(
            dLogits.count == logits.count && slopes.count == count, "\(slopes.count) factors for \(count) masks")
        let (rows, canvas) = (CanvasRows(logits, area), area.side)
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
                let slopes = slopes[instance]
                let touching = BilinearResizeKernel.rowsTouching(owned, rows.map)
                for row in touching.clamped(to: 0..<area.rows) {
                    rows.load(instance, row, bytes, z, m, scratch: scratch)
                    if let counts = rows.weights(instance, row, m, in: workspace, worker: worker) {
                        if slopes.focal == 0 {
                            rowGradient(z, m, counts, canvas, slopes, focal: false)
                        } else {
                            rowGradient(z, m, counts, canvas, slopes, focal: true)
                        }
                    } else if slopes.focal == 0 {
                        rowGradient(z, m, nil, canvas, slopes, focal: false)
                    } else {
                        rowGradient(z, m, nil, canvas, slopes, focal: true)
                    }
                    rows.accumulate(z, row: row, into: plane, sourceRows: owned, scratch: scratch)
                }
            }
        }
    }
}
