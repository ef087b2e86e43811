import Machine

// A gradient of a parameter is a sum over tokens. Tokens are cut into bands whose number and height depend on the shape
// alone; every band writes its partial sum to its own row of scratch memory, and the rows are added from first to last:
//   sum[i] = ((partial[0, i] + partial[1, i]) + partial[2, i]) + ...
// The order is fixed, so the bits do not depend on the thread count, and a single-precision sum over T tokens in bands
// of B has the rounding error of chains of B and T / B additions instead of one of T.

/// Adds the partial sums of bands in the order of the bands.
enum BandSums {
    /// Elements in one task: whole vectors, and long enough to outweigh starting a task.
    static let taskElements = 4096

    /// sum[i] = partial[0, i] + partial[1, i] + ...; zeros when there are no bands.
    ///
    /// - Parameters:
    ///   - partial: The bands' sums, `stride` floats apart. // [bands, stride]
    ///   - sum: Written. // [count], count <= stride
    static func add(
        _ partial: UnsafePointer<Float>, bands: Int, stride: Int, into sum: UnsafeMutablePointer<Float>, count: Int,
        in workspace: Workspace
    ) {
        workspace.pool.parallelFor((count + taskElements - 1) / taskElements) { task, _ in
            let elements = task * taskElements..<min((task + 1) * taskElements, count)
            (sum + elements.lowerBound).update(repeating: 0, count: elements.count)
            for band in 0..<bands {
                accumulate(
                    partial + band * stride + elements.lowerBound, into: sum + elements.lowerBound,
                    count: elements.count)
            }
        }
    }

    /// sum[i] += row[i].
    @inline(__always)
    static func accumulate(_ row: UnsafePointer<Float>, into sum: UnsafeMutablePointer<Float>, count: Int) {
        let whole = count - count % Vector.scalarCount
        for i in stride(from: 0, to: whole, by: Vector.scalarCount) {
            (Vector(loading: sum + i) + Vector(loading: row + i)).store(sum + i)
        }
        for i in whole..<count { sum[i] += row[i] }
    }
}
