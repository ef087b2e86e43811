/// Bilinear resize without aligned corners straight from its definition, in Double.
public enum BilinearReference {
    /// Resizes one plane [h, w] to [height, width].
    public static func forward(_ plane: [Double], h: Int, w: Int, height: Int, width: Int) -> [Double] {
        func weights(_ target: Int, _ size: Int, _ source: Int) -> [(index: Int, weight: Double)] {
            let position = max(0, (Double(target) + 0.5) * Double(source) / Double(size) - 0.5)
            let lower = min(Int(position.rounded(.down)), source - 1)
            let fraction = min(position - Double(lower), 1)
            return [(lower, 1 - fraction), (min(lower + 1, source - 1), fraction)]
        }
        var output: [Double] = []
        for y in 0..<height {
            for x in 0..<width {
                var sum = 0.0
                for row in weights(y, height, h) {
                    for column in weights(x, width, w) {
                        sum += row.weight * column.weight * plane[row.index * w + column.index]
                    }
                }
                output.append(sum)
            }
        }
        return output
    }
}
