/// Stability score and mask of a candidate's logits.
package struct LogitScan {
    /// Pixels above threshold + offset over pixels above threshold - offset; 0 where there are none of the latter.
    package let stabilityScore: Float
    /// The pixels above the threshold.
    package let mask: MaskRuns

    /// Scans a map row by row, once for the score and, if that is sufficient, once for the mask; nil if it is not.
    ///
    /// - Parameters:
    ///   - logits: // [H, W]
    ///   - minimumScore: Nothing is dropped at 0 or below.
    package init?(_ logits: UnsafePointer<Float>, width: Int, height: Int, offset: Float, minimumScore: Float) {
        let threshold = MaskPostprocessing.threshold
        var (inner, outer) = (0, 0)
        for pixel in 0..<width * height {
            inner += logits[pixel] > threshold + offset ? 1 : 0
            outer += logits[pixel] > threshold - offset ? 1 : 0
        }
        stabilityScore = outer == 0 ? 0 : Float(inner) / Float(outer)
        guard minimumScore <= 0 || stabilityScore >= minimumScore else { return nil }
        mask = Self.runs(logits, width: width, height: height, threshold: threshold)
    }

    /// The runs down the columns, read along the rows in memory order: the rows at which a column changes sides are
    /// recorded during the scan and then put in the order of columns.
    private static func runs(
        _ logits: UnsafePointer<Float>, width: Int, height: Int, threshold: Float
    ) -> MaskRuns {
        var isInside = [Bool](repeating: false, count: width)
        var changes: [(column: Int32, row: Int32)] = []
        var perColumn = [Int](repeating: 0, count: width + 1)
        func change(_ column: Int, _ row: Int) {
            changes.append((Int32(column), Int32(row)))
            perColumn[column + 1] += 1
        }
        for row in 0..<height {
            let values = logits + row * width
            for column in 0..<width where (values[column] > threshold) != isInside[column] {
                isInside[column].toggle()
                change(column, row)
            }
        }
        for column in 0..<width where isInside[column] { change(column, height) }
        for column in 0..<width { perColumn[column + 1] += perColumn[column] }
        var next = perColumn
        var rows = [Int](repeating: 0, count: changes.count)
        for (column, row) in changes {
            rows[next[Int(column)]] = Int(row)
            next[Int(column)] += 1
        }
        // Every column changes sides an even number of times.
        var spans: [Range<Int>] = []
        spans.reserveCapacity(rows.count / 2)
        for column in 0..<width {
            for index in stride(from: perColumn[column], to: perColumn[column + 1], by: 2) {
                spans.append(column * height + rows[index]..<column * height + rows[index + 1])
            }
        }
        return MaskRuns(spans: spans, width: width, height: height)
    }
}
