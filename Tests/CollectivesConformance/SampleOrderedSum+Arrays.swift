public import Collectives

extension SampleOrderedSum {
    /// `exchange` of one array per record with a gradient, in the order of the records.
    ///
    /// - Parameter batchSize: Positions of the batch; the global batch if it is not given.
    public func exchange(
        _ records: [SampleRecord], gradients: [[Float]], batchSize: Int? = nil, isFinite: Bool = true,
        wantsStop: Bool = false
    ) throws -> BatchRecords {
        let slab = GradientSlab(parameterCount: slices.count)
        slab.begin(batchSize: batchSize ?? globalBatch)
        var rest = gradients[...]
        for record in records {
            if record.hasGradient, let gradient = rest.popFirst() {
                gradient.withUnsafeBufferPointer { slab.add($0, at: record.position) }
            } else {
                slab.addEmpty(at: record.position)
            }
        }
        return try exchange(records, slab, isFinite: isFinite, wantsStop: wantsStop)
    }

    /// All ranks' slices as one vector. `[P]`
    public func gather(slice: [Float]) throws -> [Float] {
        var all = [Float](repeating: 0, count: slices.count)
        try slice.withUnsafeBufferPointer { mine in
            try all.withUnsafeMutableBufferPointer { try gather(slice: mine, into: $0) }
        }
        return all
    }
}
