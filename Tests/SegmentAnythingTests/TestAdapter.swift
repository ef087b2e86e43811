import Kernels
import Layers
import Tensors
import WeightFiles

/// Rank-r updates of q and v, straight from named matrices: the simplest adapter an encoder test can have.
struct TestAdapter: AdapterSet, ProjectionAdapter {
    let kind = "test"
    /// A_q, B_q, A_v, B_v of each site.
    let parameters: [Parameter]
    let trained: TrainableParameters
    let sites: [ProjectionSite]
    let rank: Int

    static let names = ["linear_a_q", "linear_b_q", "linear_a_v", "linear_b_v"]

    /// Reads `PREFIX.SITE.linear_a_q.weight` ... of every site.
    init(sites: [ProjectionSite], rank: Int, prefix: String, in table: TensorTable) throws {
        (self.sites, self.rank) = (sites, rank)
        var places = ParameterPlaces(group: ParameterGroup("test"))
        parameters = try sites.flatMap { site in
            try Self.names.map {
                let name = "\(site.name).\($0).weight"
                return places.parameter(name, try table.tensor("\(prefix).\(name)"))
            }
        }
        trained = TrainableParameters(
            layout: places.layout, values: Tensor(parameters.flatMap(\.frozen.elements), [places.layout.count]))
    }

    var projections: (any ProjectionAdapter)? { self }

    /// A pass with this adapter.
    func context(_ workspace: Workspace, recompute: RecomputeLevel = .none) -> PassContext {
        PassContext(workspace, trained: trained, adapters: ActiveAdapters([self]), recompute: recompute)
    }

    func acts(at site: ProjectionSite) -> Bool { true }

    func forward(
        at site: ProjectionSite, _ x: Tensor, addingTo y: inout Tensor, in context: PassContext
    ) -> [Tensor] {
        [0, 2].map { first in
            var projected = Tensor(uninitialized: [x.count / site.inputWidth, rank])
            LowRankKernel.forward(
                x, down: context.value(of: parameters[4 * site.index + first]),
                up: context.value(of: parameters[4 * site.index + first + 1]), column: first * site.outputWidth,
                projected: &projected, into: &y, in: context.workspace)
            return projected
        }
    }

    func backward(
        at site: ProjectionSite, _ dY: Tensor, input x: Tensor, saved: [Tensor], addingTo dX: inout Tensor?,
        gradients: inout GradientBuffer, in context: PassContext
    ) {
        for (part, first) in [0, 2].enumerated() {
            let (down, up) = (parameters[4 * site.index + first], parameters[4 * site.index + first + 1])
            var (dDown, dUp) = (Tensor(uninitialized: down.shape), Tensor(uninitialized: up.shape))
            LowRankKernel.backward(
                dY, input: x, projected: saved[part], down: context.value(of: down), up: context.value(of: up),
                column: first * site.outputWidth, dDown: &dDown, dUp: &dUp, addingTo: &dX, in: context.workspace)
            if let slot = context.slot(of: down) { gradients.add(dDown, at: slot) }
            if let slot = context.slot(of: up) { gradients.add(dUp, at: slot) }
        }
    }
}
