import Foundation

/// The discrete Fourier transform as its definition, in Double.
public enum HighPassReference {
    /// |inverse transform of the transform without the square of frequencies -l ..< l|, real part, of x[S, S].
    public static func highPass(_ x: [Float], side: Int, radius: Int) -> [Double] {
        let rows = (0..<side).map { Array(x[$0 * side..<($0 + 1) * side]).map { Complex(Double($0), 0) } }
        var spectrum = transform(transposed(transform(rows, sign: -1)), sign: -1)
        func isLow(_ index: Int) -> Bool { index < radius || index >= side - radius }
        for k in 0..<side where isLow(k) { for m in 0..<side where isLow(m) { spectrum[k][m] = Complex(0, 0) } }
        let back = transform(transposed(transform(spectrum, sign: 1)), sign: 1)
        return back.flatMap { $0.map { abs($0.real) / Double(side * side) } }
    }

    private struct Complex {
        var real: Double
        var imaginary: Double
        init(_ real: Double, _ imaginary: Double) { (self.real, self.imaginary) = (real, imaginary) }
    }

    /// Each row's sum over n of x[n] exp(sign 2 pi i k n / S).
    private static func transform(_ rows: [[Complex]], sign: Double) -> [[Complex]] {
        rows.map { row in
            row.indices.map { k in
                row.indices.reduce(into: Complex(0, 0)) { sum, n in
                    let angle = sign * 2 * Double.pi * Double(k * n % row.count) / Double(row.count)
                    sum.real += row[n].real * cos(angle) - row[n].imaginary * sin(angle)
                    sum.imaginary += row[n].real * sin(angle) + row[n].imaginary * cos(angle)
                }
            }
        }
    }

    private static func transposed(_ rows: [[Complex]]) -> [[Complex]] {
        rows.indices.map { column in rows.map { $0[column] } }
    }
}
