package import Kernels
import Layers
package import Tensors

// y = |x - low(x)| in each channel; see HighPassKernel for low(x) = U^T K' U.
// By matrix products: with l = S / 4 and S = 1024 they take 1.6 multiply-adds a channel and 10^9, at the rate of the
// BLAS, and no size needs a transform of its own.

/// SAM-Adapter's hand-crafted feature: an image without the square of frequencies -l ..< l along both axes, absolute
/// (`PromptGenerator.fft` in SAM-Adapter's image_encoder.py).
package struct HighPassFilter: Sendable {
    /// The share of all frequencies that is removed: SAM-Adapter's `freq_nums`.
    private static let share = 0.25

    private let side: Int
    private let analysis: FrozenMatrix  // U: [2 l + 1, S]
    private let rows: Tensor  // U
    private let columns: Tensor  // U^T

    /// Creates the filter for square images, l = floor(sqrt(S S / 4) / 2).
    ///
    /// - Parameter side: S, at least 4.
    package init(side: Int) {
        let radius = Int((Double(side * side) * Self.share).squareRoot() / 2)
        self.side = side
        rows = HighPassKernel.basis(side: side, radius: radius)
        columns = ElementwiseKernel.transpose(rows, rows: 2 * radius + 1, columns: side)
        analysis = FrozenMatrix(rows)
    }

    /// The high frequencies of an image as rows of patches; there is no backward, for the image is data.
    ///
    /// - Parameters:
    ///   - image: // [S, S, 3]
    ///   - patchSize: P.
    /// - Returns: Patch by patch in raster order, values as in a convolution's weight. // [S / P * S / P, 3 P P]
    package func patches(of image: Tensor, patchSize: Int, in workspace: Workspace) -> Tensor {
        let channels = image.count / (side * side)
        let planes = ElementwiseKernel.transpose(image, rows: side * side, columns: channels)
        var low = Tensor(uninitialized: [channels, side, side])
        for channel in 0..<channels {
            let plane = planes.rows(channel..<channel + 1).reshaped([side, side])
            let smooth = lowFrequencies(plane, in: workspace)
            (low.mutablePointer + channel * side * side).update(from: smooth.pointer, count: smooth.count)
        }
        let across = side / patchSize
        var patches = Tensor(uninitialized: [across * across, channels * patchSize * patchSize])
        HighPassKernel.patches(
            planes.reshaped([channels, side, side]), without: low, patchSize: patchSize, into: &patches, in: workspace)
        return patches
    }

    /// U^T K' U of one channel. // [S, S]
    private func lowFrequencies(_ plane: Tensor, in workspace: Workspace) -> Tensor {
        let halfway = analysis.applied(to: plane, in: workspace)  // x U^T: [S, M]
        var coefficients = FrozenMatrix(halfway).pulledBack(rows, in: workspace)  // K: [M, M]
        HighPassKernel.completeLowestFrequency(&coefficients)
        let back = FrozenMatrix(coefficients).pulledBack(columns, in: workspace)  // U^T K': [S, M]
        return analysis.pulledBack(back, in: workspace)
    }
}
