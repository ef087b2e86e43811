import Kernels
import Tensors

// With n instances, K regions a branch and s_jk = cos(f^t_j, f^a_k) / tau:
//   instances    K = n                    L = log sum_jk e^s_jk - log sum_j e^s_jj
//   background   K = n + 1, the last one the cells that are in no mask of the branch; L as above
//   patches      K = (side / patch)^2 squares of the grid, the same in both branches
//                L = mean over j of (log sum_k e^s_jk - s_jj)

/// The regions being contrasted: positives are the same region in teacher and anchor, negatives all others.
public enum ContrastForm: Sendable, Equatable {
    /// The instances, each branch with its own masks (WeSAM section 3.3, the released form): one instance gives 0.
    case instances
    /// The instances and the background (the authors' stated remedy for images with one object).
    case background
    /// Squares of `side` x `side` cells of the embedding's grid (WeSAM++): needs no mask.
    case patches(side: Int)

    /// Whether the loss is the mean over regions instead of one ratio over all pairs.
    var isMeanOfRows: Bool {
        if case .patches = self { true } else { false }
    }

    /// The regions of one branch as masks of 0 and 1 on the embedding's grid. // [K, h w]
    ///
    /// - Parameters:
    ///   - logits: Low-resolution mask logits. // [n, 4 h, 4 w]
    func regions(_ logits: Tensor, in workspace: Workspace) -> Tensor {
        switch self {
        case .instances: return ContrastiveLoss.masks(logits, in: workspace)
        case .background: return Self.withBackground(ContrastiveLoss.masks(logits, in: workspace))
        case .patches(let side):
            return Self.squares(height: logits.shape[1] / 4, width: logits.shape[2] / 4, side: side)
        }
    }

    /// The number of regions that `regions` returns for n instances.
    func count(_ logits: Tensor) -> Int {
        switch self {
        case .instances: logits.shape[0]
        case .background: logits.shape[0] + 1
        case .patches(let side): (logits.shape[1] / 4 / side) * (logits.shape[2] / 4 / side)
        }
    }

    private static func withBackground(_ masks: Tensor) -> Tensor {
        let (count, cells) = (masks.shape[0], masks.shape[1])
        var values = masks.elements
        let rest = (0..<cells).map { cell -> Float in
            (0..<count).contains { values[$0 * cells + cell] != 0 } ? 0 : 1
        }
        values += rest
        return Tensor(values, [count + 1, cells])
    }

    /// Whole squares row by row; cells that fill none at the right and the bottom are left out.
    private static func squares(height: Int, width: Int, side: Int) -> Tensor {
        precondition(side > 0, "a patch has at least one cell a side")
        let (rows, columns) = (height / side, width / side)
        var values = [Float](repeating: 0, count: rows * columns * height * width)
        for y in 0..<(rows * side) {
            for x in 0..<(columns * side) {
                values[((y / side) * columns + x / side) * height * width + y * width + x] = 1
            }
        }
        return Tensor(values, [rows * columns, height * width])
    }
}
