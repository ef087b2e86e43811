public import Kernels
public import Layers
public import Tensors

/// Low-rank updates of q and v in every attention (Hu et al. 2021; WeSAM section 3.4): q += B_q A_q x, v += B_v A_v x.
///
/// There is no scaling factor, no bias and no dropout. B starts at zero, so a fresh adapter computes what the anchor
/// computes. All numbers live in one flat vector: exchange, update, hash and save each take one call.
public struct LoRAAdapter: ProjectionAdapter {
    /// Names, shapes and offsets.
    public let layout: LoRALayout
    /// The numbers. // [P]
    public var parameters: Tensor

    /// Takes existing numbers.
    public init(layout: LoRALayout, parameters: Tensor) {
        precondition(parameters.count == layout.count)
        (self.layout, self.parameters) = (layout, parameters)
    }

    /// Fresh matrices: A uniform in +-1/sqrt(D) (Kaiming-uniform with a = sqrt 5), B zero; a function of the seed alone.
    public init(layout: LoRALayout, seed: UInt64) {
        self.layout = layout
        parameters = Tensor(zeros: [layout.count])
        let numbers = parameters.mutablePointer
        for (index, entry) in layout.entries.enumerated() where index % 2 == 0 {
            var generator = SeededGenerator(seed: seed, sample: index, purpose: "lora initialisation")
            let bound = 1 / Double(entry.shape[1]).squareRoot()
            for i in 0..<entry.shape.count { numbers[entry.offset + i] = Float(generator.uniform(-bound, bound)) }
        }
    }

    /// One matrix.
    public func matrix(_ entry: LoRAEntry) -> Tensor {
        parameters.rows(entry.offset..<entry.offset + entry.shape.count).reshaped(entry.shape)
    }

    /// Adds both updates; keeps A_q x and A_v x. // 2 x [T, r]
    public func forward(site: Int, _ x: Tensor, addingTo y: inout Tensor, in workspace: Workspace) -> [Tensor] {
        let pairs = layout.pairs(of: site)
        let tokens = x.count / layout.sites[site].inputWidth
        return [(pairs.q, 0), (pairs.v, 2 * layout.sites[site].outputWidth)].map { pair, column in
            var projected = Tensor(uninitialized: [tokens, layout.rank])
            LowRankKernel.forward(
                x, down: matrix(pair.down), up: matrix(pair.up), column: column, projected: &projected, into: &y,
                in: workspace)
            return projected
        }
    }

    /// Adds the gradients of the site's four matrices, and dX += (dq B_q) A_q + (dv B_v) A_v.
    public func backward(
        site: Int, _ dY: Tensor, input x: Tensor, saved: [Tensor], addingTo dX: inout Tensor?,
        gradients: inout GradientBuffer, in workspace: Workspace
    ) {
        let pairs = layout.pairs(of: site)
        for (index, pair, column) in [(0, pairs.q, 0), (1, pairs.v, 2 * layout.sites[site].outputWidth)] {
            var dDown = Tensor(uninitialized: pair.down.shape)
            var dUp = Tensor(uninitialized: pair.up.shape)
            LowRankKernel.backward(
                dY, input: x, projected: saved[index], down: matrix(pair.down), up: matrix(pair.up), column: column,
                dDown: &dDown, dUp: &dUp, addingTo: &dX, in: workspace)
            gradients.add(dDown, at: pair.down.offset)
            gradients.add(dUp, at: pair.up.offset)
        }
    }
}
