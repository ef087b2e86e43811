import Tensors

/// Reads the canvas of a prediction and its target row by row, and propagates gradients back to the prediction.
///
/// Losses sum over pixels, so the order within a row is free: rows of a canvas four times the prediction's size (SAM's
/// masks) come in phase order (see FourfoldMap), others from left to right.
struct CanvasRows {
    let map: BilinearMap
    private let logits: Tensor
    private let canvas: Int
    private let area: MaskCanvas
    private let targetMap: BilinearMap?
    private let weightMap: BilinearMap?
    private let fourfold: FourfoldMap?

    /// A logit outside the area, whose probability, and so every term, is 0.
    private static let outside: Float = -1000

    init(_ logits: Tensor, _ area: MaskCanvas) {
        let (canvas, weights) = (area.side, area.weights)
        precondition(canvas % Vector.scalarCount == 0, "a canvas is a multiple of 16 pixels wide")
        precondition(
            weights.map { $0.fit(instances: logits.shape[0], canvas: canvas) } ?? true,
            "weights \(weights.map { "\($0.values.shape)" } ?? "") for \(logits.shape) on a canvas of \(canvas)")
        let (height, width) = (logits.shape[1], logits.shape[2])
        map = BilinearMap(sourceHeight: height, sourceWidth: width, height: canvas, width: canvas)
        (self.logits, self.canvas, self.area) = (logits, canvas, area)
        weightMap = weights?.refined.map {
            BilinearMap(sourceHeight: $0.shape[1], sourceWidth: $0.shape[2], height: canvas, width: canvas)
        }
        switch area.target {
        case .logits(let other), .probabilities(let other):
            precondition(other.shape[0] == logits.shape[0], "targets \(other.shape) for \(logits.shape)")
            targetMap = BilinearMap(
                sourceHeight: other.shape[1], sourceWidth: other.shape[2], height: canvas, width: canvas)
            fourfold = other.shape == logits.shape ? FourfoldMap(map) : nil
        case .values(let values):
            precondition(values.count == logits.shape[0] * canvas * canvas, "targets \(values.shape)")
            targetMap = nil
            fourfold = FourfoldMap(map)
        case .bytes(let bytes):
            precondition(bytes.count == logits.shape[0] * canvas * canvas, "\(bytes.count) target bytes")
            targetMap = nil
            fourfold = FourfoldMap(map)
        }
    }

    /// Scratch that `load` and `accumulate` need.
    var scratchFloats: Int { fourfold?.scratchFloats ?? 0 }

    /// Passes the bytes of a byte target for the duration of a kernel call.
    func withTarget(_ body: (UnsafePointer<UInt8>?) -> Void) {
        if case .bytes(let bytes) = area.target {
            bytes.withUnsafeBufferPointer { body($0.baseAddress) }
        } else {
            body(nil)
        }
    }

    /// Fills z~ and m of one canvas row.
    @inline(__always)
    func load(
        _ instance: Int, _ row: Int, _ bytes: UnsafePointer<UInt8>?, _ z: UnsafeMutablePointer<Float>,
        _ m: UnsafeMutablePointer<Float>, scratch: UnsafeMutablePointer<Float>
    ) {
        switch area.target {
        case .logits(let other), .probabilities(let other):
            let plane = other.pointer + instance * other.shape[1] * other.shape[2]
            if let fourfold {
                fourfold.interpolateRow(plane, row: row, into: m, scratch: scratch)
            } else {
                targetMap?.interpolateRow(plane, row: row, into: m)
            }
            let cut: Float = if case .probabilities = area.target { 0.5 } else { 0 }
            for i in stride(from: 0, to: canvas, by: Vector.scalarCount) {
                let isSet = Vector(loading: m + i) .> cut
                Vector(repeating: 0).replacing(with: 1, where: isSet).store(m + i)
            }
        case .values(let values):
            load(values.pointer + (instance * canvas + row) * canvas, into: m)
        case .bytes:
            guard let bytes else { return }
            let line = bytes + (instance * canvas + row) * canvas
            if fourfold != nil {
                Self.loadPhases(line, into: m, count: canvas)
            } else {
                for i in 0..<canvas { m[i] = line[i] == 0 ? 0 : 1 }
            }
        }
        let plane = logits.pointer + instance * map.sourceHeight * map.sourceWidth
        if let fourfold {
            fourfold.interpolateRow(plane, row: row, into: z, scratch: scratch)
        } else {
            map.interpolateRow(plane, row: row, into: z)
        }
        if let area = area.area, area.width < canvas { clip(z, m, from: area.width) }
    }

    /// Takes the columns from one on out of a row.
    @inline(__always)
    private func clip(_ z: UnsafeMutablePointer<Float>, _ m: UnsafeMutablePointer<Float>, from column: Int) {
        let phases = fourfold == nil ? 1 : 4
        for phase in 0..<phases {
            let (first, count) = (max(0, (column - phase + phases - 1) / phases), canvas / phases)
            guard first < count else { continue }
            (z + phase * count + first).update(repeating: Self.outside, count: count - first)
            (m + phase * count + first).update(repeating: 0, count: count - first)
        }
    }

    /// The weights of one canvas row, in the pixel order of `load`; nil if all pixels count alike.
    ///
    /// - Parameter m: The targets of the row.
    /// - Returns: alpha c and M in the worker's scratch, slots 3 to 5; valid until the next row.
    @inline(__always)
    func weights(
        _ instance: Int, _ row: Int, _ m: UnsafePointer<Float>, in workspace: Workspace, worker: Int
    ) -> RowWeights? {
        guard area.weights != nil || area.balance != nil else { return nil }
        let c = workspace.scratch(worker: worker, slot: 3, floats: canvas)
        let dice = workspace.scratch(worker: worker, slot: 4, floats: canvas)
        if let weights = area.weights {
            loadCertainty(weights, instance, row, into: c, in: workspace, worker: worker)
        } else {
            c.update(repeating: 1, count: canvas)
        }
        if let threshold = area.weights?.overlapThreshold {
            for i in stride(from: 0, to: canvas, by: Vector.scalarCount) {
                Vector(repeating: 0).replacing(with: 1, where: Vector(loading: c + i) .> threshold).store(dice + i)
            }
        } else {
            dice.update(from: c, count: canvas)
        }
        if let balance = area.balance {
            let (inside, outside) = (Vector(repeating: balance.inside), Vector(repeating: balance.outside))
            for i in stride(from: 0, to: canvas, by: Vector.scalarCount) {
                let alpha = outside.replacing(with: inside, where: Vector(loading: m + i) .> 0.5)
                (Vector(loading: c + i) * alpha).store(c + i)
            }
        }
        return RowWeights(focal: c, dice: dice)
    }

    /// c of one canvas row: as stored, or from the probabilities of a mask and of its refined form.
    @inline(__always)
    private func loadCertainty(
        _ weights: PixelWeights, _ instance: Int, _ row: Int, into c: UnsafeMutablePointer<Float>,
        in workspace: Workspace, worker: Int
    ) {
        guard let refined = weights.refined, let weightMap else {
            return load(weights.values.pointer + (instance * canvas + row) * canvas, into: c)
        }
        // Enlarged from left to right whatever the size: this is done once a row, and the order is changed at the end.
        let line = workspace.scratch(worker: worker, slot: 5, floats: 2 * canvas)
        let area = weightMap.sourceHeight * weightMap.sourceWidth
        weightMap.interpolateRow(weights.values.pointer + instance * area, row: row, into: line)
        weightMap.interpolateRow(refined.pointer + instance * area, row: row, into: line + canvas)
        for i in stride(from: 0, to: canvas, by: Vector.scalarCount) {
            let difference = Vector(loading: line + i) - Vector(loading: line + canvas + i)
            (Vector(repeating: 1) - difference.maximum(-difference)).store(line + i)
        }
        load(line, into: c)
    }

    /// Copies one row of a canvas into the pixel order of `load`.
    @inline(__always)
    private func load(_ line: UnsafePointer<Float>, into row: UnsafeMutablePointer<Float>) {
        if fourfold != nil {
            for phase in 0..<4 {
                for k in 0..<canvas / 4 { row[phase * canvas / 4 + k] = line[4 * k + phase] }
            }
        } else {
            row.update(from: line, count: canvas)
        }
    }

    /// Adds the gradient of one canvas row, in the order of `load`, to those source rows that are in a range.
    @inline(__always)
    func accumulate(
        _ gradient: UnsafePointer<Float>, row: Int, into plane: UnsafeMutablePointer<Float>, sourceRows: Range<Int>,
        scratch: UnsafeMutablePointer<Float>
    ) {
        if let fourfold {
            fourfold.accumulateRow(gradient, row: row, into: plane, sourceRows: sourceRows, scratch: scratch)
        } else {
            map.accumulateRow(gradient, row: row, into: plane, sourceRows: sourceRows)
        }
    }

    /// A row of bytes as zeros and ones in phase order: four neighbours are one little-endian word, one of each phase.
    private static func loadPhases(
        _ line: UnsafePointer<UInt8>, into m: UnsafeMutablePointer<Float>, count: Int
    ) {
        let quarter = count / 4
        let one = unsafeBitCast(Vector(repeating: 1), to: SIMD16<Int32>.self)
        for k in stride(from: 0, to: quarter, by: Vector.scalarCount) {
            let words = UnsafeRawPointer(line + 4 * k).loadUnaligned(as: SIMD16<Int32>.self)
            for phase in 0..<4 {
                let byte = (words &>> Int32(8 * phase)) & 0xff
                // 1 for any byte but 0, then the bits of 1.0: an integer comparison would be compiled lane by lane.
                let isSet = (byte &+ 0xff) &>> 8
                unsafeBitCast((0 &- isSet) & one, to: Vector.self).store(m + phase * quarter + k)
            }
        }
    }
}
