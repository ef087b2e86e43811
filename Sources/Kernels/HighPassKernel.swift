import Glibc
import Machine
public import Tensors

// A square of low frequencies of x[S, S], those in -l ..< l along both axes, is
//   low = Re(P x P^T),   P[m, n] = 1/S sum_{k = -l}^{l - 1} exp(2 pi i k (m - n) / S)
// It is a product with two small matrices, exact for any S. With the M = 2 l + 1 rows of U
//   1/sqrt S;   sqrt(2/S) cos(2 pi k n / S) and sqrt(2/S) sin(2 pi k n / S) for 0 < k < l;   and for k = l,
//   since -l is in the square and l is not,   g = 1/sqrt S cos(...),   s = 1/sqrt S sin(...)
// P = U^T U - i (s g^T - g s^T), hence
//   low = U^T K' U,   K = U x U^T,   K' = K but in the rows and columns of g and s:
//   K'_gg = K_gg - K_ss,   K'_ss = K_ss - K_gg,   K'_gs = K'_sg = K_gs + K_sg

/// The low frequencies of a square image as products with a real Fourier basis, and the rest as rows of patches.
public enum HighPassKernel {
    /// The basis U of the frequencies -l ..< l; sines and cosines come from one table of a period.
    ///
    /// - Parameters:
    ///   - side: S.
    ///   - radius: l, at least 1 and below S / 2.
    /// - Returns: // [2 l + 1, S]
    public static func basis(side: Int, radius: Int) -> Tensor {
        precondition(radius > 0 && 2 * radius < side, "frequencies up to \(radius) of \(side) samples")
        let period = (0..<side).map { 2 * Double.pi * Double($0) / Double(side) }
        let (cosines, sines) = (period.map { cos($0) }, period.map { sin($0) })
        var basis = Tensor(uninitialized: [2 * radius + 1, side])
        let destination = basis.mutablePointer
        for n in 0..<side { destination[n] = Float(1 / Double(side).squareRoot()) }
        for k in 1...radius {
            let scale = ((k < radius ? 2 : 1) / Double(side)).squareRoot()
            let (even, odd) = (destination + (2 * k - 1) * side, destination + 2 * k * side)
            for n in 0..<side {
                even[n] = Float(scale * cosines[k * n % side])
                odd[n] = Float(scale * sines[k * n % side])
            }
        }
        return basis
    }

    /// K' from K: the part of the frequency -l, which has no partner. // [M, M]
    public static func completeLowestFrequency(_ coefficients: inout Tensor) {
        let count = coefficients.shape[0]
        precondition(coefficients.shape == [count, count] && count > 2, "coefficients \(coefficients.shape)")
        let k = coefficients.mutablePointer
        let (g, s) = (count - 2, count - 1)
        let difference = k[g * count + g] - k[s * count + s]
        let sum = k[g * count + s] + k[s * count + g]
        (k[g * count + g], k[s * count + s]) = (difference, -difference)
        (k[g * count + s], k[s * count + g]) = (sum, sum)
    }

    /// |x - low|, one row for each patch, in the order of a convolution's weight.
    ///
    /// - Parameters:
    ///   - x: // [C, S, S]
    ///   - low: // [C, S, S]
    ///   - patchSize: P, a divisor of S.
    ///   - patches: Patch (i, j) is row i S / P + j. // [S / P * S / P, C P P]
    public static func patches(
        _ x: Tensor, without low: Tensor, patchSize: Int, into patches: inout Tensor, in workspace: Workspace
    ) {
        let (channels, side) = (x.shape[0], x.shape[1])
        let across = side / patchSize
        precondition(x.shape == [channels, side, side] && low.count == x.count && patches.count == x.count)
        precondition(across * patchSize == side, "patches of \(patchSize) in \(x.shape)")
        let depth = channels * patchSize * patchSize
        let (image, smooth, output) = (x.pointer, low.pointer, patches.mutablePointer)
        workspace.pool.parallelFor(across) { row, _ in
            for c in 0..<channels {
                for y in 0..<patchSize {
                    let start = (c * side + row * patchSize + y) * side
                    for j in 0..<across {
                        let from = start + j * patchSize
                        let to = (row * across + j) * depth + (c * patchSize + y) * patchSize
                        for i in 0..<patchSize { output[to + i] = abs(image[from + i] - smooth[from + i]) }
                    }
                }
            }
        }
    }
}
