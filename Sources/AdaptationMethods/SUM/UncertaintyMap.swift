import Foundation
public import Kernels
public import Tensors

// SUM (Liu et al., "Uncertainty-aware Fine-tuning of Segmentation Foundation Models", NeurIPS 2024), section 3.1: a pseudo-mask
// with logits s that the refinement module turns into r has, at each pixel,
//   u = |sigma(s) - sigma(r)|,   c = 1 - u,   label y = [sigma(s) > 1/2]
// On a canvas both probabilities are enlarged bilinearly, with one kernel, and then subtracted.

/// How far each pixel of pseudo-masks is not to be trusted.
public struct UncertaintyMap: Sendable {
    /// u, from 0 to 1. // [n, H, W]
    public let uncertainty: Tensor
    /// sigma(s), of which the label is what exceeds 1/2. // [n, H, W]
    public let probability: Tensor

    /// Measures the maps of pseudo-masks at their own resolution.
    ///
    /// - Parameters:
    ///   - logits: s. // [n, h, w]
    ///   - refined: r. // [n, h, w]
    public init(logits: Tensor, refined: Tensor) {
        self.init(probability: Self.sigmoid(logits), refined: Self.sigmoid(refined))
    }

    /// The maps on a square canvas, without its padding.
    ///
    /// - Parameters:
    ///   - probability: sigma(s). // [n, h, w]
    ///   - refined: sigma(r). // [n, h, w]
    ///   - side: Side of the canvas, pixels.
    ///   - height: Rows of the canvas that the image fills.
    ///   - width: Columns that it fills.
    public init(
        probability: Tensor, refined: Tensor, side: Int, height: Int, width: Int, in workspace: Workspace
    ) {
        func enlarged(_ x: Tensor) -> Tensor {
            var y = Tensor(uninitialized: [x.shape[0], side, side])
            BilinearResizeKernel.forward(x, into: &y, in: workspace)
            return Self.cropped(y, height: height, width: width)
        }
        self.init(probability: enlarged(probability), refined: enlarged(refined))
    }

    init(probability: Tensor, refined: Tensor) {
        precondition(probability.shape == refined.shape, "\(probability.shape) and \(refined.shape)")
        var uncertainty = Tensor(uninitialized: probability.shape)
        let (s, r, u) = (probability.pointer, refined.pointer, uncertainty.mutablePointer)
        for i in 0..<probability.count { u[i] = abs(s[i] - r[i]) }
        (self.uncertainty, self.probability) = (uncertainty, probability)
    }

    /// y: whether each pixel belongs to its pseudo-mask. // [n, H, W]
    public var label: [Bool] { probability.elements.map { $0 > 0.5 } }

    /// c = 1 - u. // [n, H, W]
    public var certainty: Tensor { Tensor(uncertainty.elements.map { 1 - $0 }, uncertainty.shape) }

    /// sigma of every logit. // [n, h, w]
    public static func sigmoid(_ logits: Tensor) -> Tensor {
        Tensor(
            logits.elements.map { z in
                let decay = exp(-abs(z))
                return z >= 0 ? 1 / (1 + decay) : decay / (1 + decay)
            }, logits.shape)
    }

    /// The first rows and columns of maps. // [n, S, S] -> [n, height, width]
    static func cropped(_ x: Tensor, height: Int, width: Int) -> Tensor {
        let (n, rows, columns) = (x.shape[0], x.shape[1], x.shape[2])
        precondition(height <= rows && width <= columns, "\(height)x\(width) of \(x.shape)")
        var y = Tensor(uninitialized: [n, height, width])
        let (source, target) = (x.pointer, y.mutablePointer)
        for plane in 0..<n {
            for row in 0..<height {
                (target + (plane * height + row) * width).update(
                    from: source + (plane * rows + row) * columns, count: width)
            }
        }
        return y
    }
}
