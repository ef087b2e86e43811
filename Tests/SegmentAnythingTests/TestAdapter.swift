import Kernels
import Layers
import Tensors
import WeightFiles

/// Rank-r updates of q and v, straight from named matrices: the simplest adapter an encoder test can have.
struct TestAdapter: ProjectionAdapter {
    /// A_q, B_q, A_v, B_v of each site.
    let matrices: [[Tensor]]
    /// Where each matrix's gradient begins in the flat buffer.
    let offsets: [[Int]]
    let count: Int
    let sites: [AdapterSite]
    let rank: Int

    static let names = ["linear_a_q", "linear_b_q", "linear_a_v", "linear_b_v"]

    /// Reads `PREFIX.SITE.linear_a_q.weight` ... of every site.
    init(sites: [AdapterSite], rank: Int, prefix: String, in table: TensorTable) throws {
        (self.sites, self.rank) = (sites, rank)
        matrices = try sites.map { site in
            try Self.names.map { try table.tensor("\(prefix).\(site.name).\($0).weight") }
        }
        var next = 0
        offsets = matrices.map { site in
            site.map { matrix in
                defer { next += matrix.count }
                return next
            }
        }
        count = next
    }

    func forward(site: Int, _ x: Tensor, addingTo y: inout Tensor, in workspace: Workspace) -> [Tensor] {
        [0, 2].map { first in
            var projected = Tensor(uninitialized: [x.count / sites[site].inputWidth, rank])
            LowRankKernel.forward(
                x, down: matrices[site][first], up: matrices[site][first + 1],
                column: first * sites[site].outputWidth, projected: &projected, into: &y, in: workspace)
            return projected
        }
    }

    func backward(
        site: Int, _ dY: Tensor, input x: Tensor, saved: [Tensor], addingTo dX: inout Tensor?,
        gradients: inout GradientBuffer, in workspace: Workspace
    ) {
        for (part, first) in [0, 2].enumerated() {
            let (down, up) = (matrices[site][first], matrices[site][first + 1])
            var (dDown, dUp) = (Tensor(uninitialized: down.shape), Tensor(uninitialized: up.shape))
            LowRankKernel.backward(
                dY, input: x, projected: saved[part], down: down, up: up, column: first * sites[site].outputWidth,
                dDown: &dDown, dUp: &dUp, addingTo: &dX, in: workspace)
            gradients.add(dDown, at: offsets[site][first])
            gradients.add(dUp, at: offsets[site][first + 1])
        }
    }
}
