import Kernels
public import Tensors

// The embedding's grid is cut into blocks of b x b cells; a fraction r, redrawn for every image and epoch, is hidden:
//   student input  x~ = x outside of the hidden blocks, 0 inside (the mean colour for SAM, black for the others)
//   F^r = M F^s + (1 - M) F^t,   M = 1 where visible;   dF^s = M dF^r, and F^t carries no gradient
// so the decoder sees the student's features where it saw the image and the teacher's elsewhere (WeSAM++, pipeline figure).
//
// Where the preprint gives no details: pixels are hidden instead of tokens, because windows and the convolutions of
// TinyViT need whole grids and the same rule then holds for every encoder.

/// Masked image modelling on the student: the hidden parts of its view, and the replacement of their features.
public struct StudentMasking: Sendable {
    /// 1 where a cell is visible. // [h w]
    let visible: [Float]
    /// Side of the embedding's grid.
    let side: Int

    /// Draws the hidden blocks: `ratio` of all, rounded, but never all: a student that sees nothing learns nothing.
    ///
    /// - Parameters:
    ///   - side: Side of the embedding's grid, cells.
    ///   - block: Side of a block, cells; blocks at the right and the bottom may be smaller.
    public init(side: Int, block: Int, ratio: Double, random: SeededGenerator) {
        precondition(block > 0 && ratio >= 0 && ratio <= 1, "\(ratio) of blocks of \(block) cells")
        self.side = side
        let across = (side + block - 1) / block
        var random = random
        let count = min(Int((ratio * Double(across * across)).rounded()), across * across - 1)
        let hidden = Set(random.permutation(across * across).prefix(count))
        visible = (0..<(side * side)).map { cell in
            hidden.contains((cell / side / block) * across + cell % side / block) ? 0 : 1
        }
    }

    /// The number of hidden cells.
    public var hiddenCells: Int { visible.count { $0 == 0 } }

    /// The view with its hidden parts blanked. // [S, S, 3]
    public func hide(_ view: Tensor) -> Tensor {
        let size = view.shape[0]
        let cell = size / side
        var values = view.elements
        for y in 0..<size {
            for x in 0..<size where visible[min(y / cell, side - 1) * side + min(x / cell, side - 1)] == 0 {
                for channel in 0..<3 { values[(y * size + x) * 3 + channel] = 0 }
            }
        }
        return Tensor(values, view.shape)
    }

    /// F^r: the student's features where it saw the image, the teacher's elsewhere. // [h w, C]
    public func fill(_ student: Tensor, with teacher: Tensor) -> Tensor {
        let channels = student.shape[1]
        var values = student.elements
        let others = teacher.elements
        for cell in visible.indices where visible[cell] == 0 {
            for place in (cell * channels)..<((cell + 1) * channels) { values[place] = others[place] }
        }
        return Tensor(values, student.shape)
    }

    /// dF^s = M dF^r. // [h w, C]
    public func gradient(_ dFilled: Tensor) -> Tensor { fill(dFilled, with: Tensor(zeros: dFilled.shape)) }
}
