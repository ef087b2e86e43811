import Kernels
public import Layers
public import Tensors

// At a fused projection y = x W^T + b with columns [q | k | v]:
//   q += B_q A_q x,   v += B_v A_v x                                   A [r, D], B [N, r]
// There is no scaling factor, no bias and no dropout. B starts at zero, so a fresh adapter leaves the base model's
// results unchanged. Gradients are those of LowRankKernel.

/// Low-rank updates of q and v in every attention of the encoder (Hu et al. 2021; WeSAM section 3.4).
public struct LoRA: AdapterSet, ProjectionAdapter {
    /// The kind's name.
    public static let kind: String = "lora"
    /// The kind's name.
    public var kind: String { Self.kind }
    /// Rank r of every pair.
    public let rank: Int
    /// The matrices in the order in which the released WeSAM code creates them: sites from the input upwards, at each
    /// q-A, q-B, v-A, v-B.
    public let parameters: [Parameter]
    /// The projections, from the input upwards.
    private let sites: [ProjectionSite]
    /// The index of the first of a site's four matrices, by site index.
    private let firstMatrix: [Int: Int]

    /// Fresh pairs: A uniform in +-1/sqrt(D) (Kaiming-uniform with a = sqrt 5), B zero; a function of the seed alone.
    ///
    /// - Parameters:
    ///   - sites: The projections to change, from the input upwards.
    ///   - places: Assigns the matrices' places, under names as in `image_encoder.blocks.0.attn.qkv.linear_a_q.weight`.
    public init(_ sites: [ProjectionSite], rank: Int, seed: UInt64, _ places: inout ParameterPlaces) {
        precondition(rank > 0, "LoRA needs a positive rank")
        (self.sites, self.rank) = (sites, rank)
        var parameters: [Parameter] = []
        var firstMatrix: [Int: Int] = [:]
        for site in sites {
            firstMatrix[site.index] = parameters.count
            for part in ["q", "v"] {
                let down = Self.initialDown(rank, site.inputWidth, seed: seed, index: parameters.count)
                parameters.append(places.parameter("\(site.name).linear_a_\(part).weight", down))
                let up = Tensor(zeros: [site.outputWidth, rank])
                parameters.append(places.parameter("\(site.name).linear_b_\(part).weight", up))
            }
        }
        (self.parameters, self.firstMatrix) = (parameters, firstMatrix)
    }

    /// The same pairs, in the same places, with other initial values.
    package func mappingValues(_ transform: (_ index: Int, _ values: Tensor) -> Tensor) -> LoRA {
        LoRA(self, parameters: parameters.enumerated().map { Parameter(transform($0, $1.frozen), slot: $1.slot) })
    }

    private init(_ other: LoRA, parameters: [Parameter]) {
        (rank, sites, firstMatrix, self.parameters) = (other.rank, other.sites, other.firstMatrix, parameters)
    }

    private static func initialDown(_ rank: Int, _ width: Int, seed: UInt64, index: Int) -> Tensor {
        var generator = SeededGenerator(seed: seed, sample: index, purpose: "lora initialisation")
        let bound = 1 / Double(width).squareRoot()
        return Tensor((0..<rank * width).map { _ in Float(generator.uniform(-bound, bound)) }, [rank, width])
    }

    /// Itself.
    public var projections: (any ProjectionAdapter)? { self }

    /// A low-rank pair at a projection and the first column it adds to.
    private struct Pair {
        let down: Parameter
        let up: Parameter
        let column: Int
        /// 0 for q, 2 for v.
        let part: Int
    }

    private func pairs(at site: ProjectionSite) -> [Pair] {
        guard let first = firstMatrix[site.index] else { return [] }
        return [0, 2].map { part in
            Pair(
                down: parameters[first + part], up: parameters[first + part + 1], column: part * site.outputWidth,
                part: part)
        }
    }

    /// Whether there are pairs at a site.
    public func acts(at site: ProjectionSite) -> Bool { firstMatrix[site.index] != nil }

    /// Adds both updates; keeps A_q x and A_v x. // 2 x [T, r]
    public func forward(
        at site: ProjectionSite, _ x: Tensor, addingTo y: inout Tensor, in context: PassContext
    ) -> [Tensor] {
        pairs(at: site).map { pair in
            var projected = Tensor(uninitialized: [x.count / site.inputWidth, rank])
            LowRankKernel.forward(
                x, down: context.value(of: pair.down), up: context.value(of: pair.up), column: pair.column,
                projected: &projected, into: &y, in: context.workspace)
            return projected
        }
    }

    /// Adds the gradients of the site's four matrices, and dX += (dq B_q) A_q + (dv B_v) A_v.
    public func backward(
        at site: ProjectionSite, _ dY: Tensor, input x: Tensor, saved: [Tensor], addingTo dX: inout Tensor?,
        gradients: inout GradientBuffer, in context: PassContext
    ) {
        for (pair, projected) in zip(pairs(at: site), saved) {
            var dDown = Tensor(uninitialized: pair.down.shape)
            var dUp = Tensor(uninitialized: pair.up.shape)
            LowRankKernel.backward(
                dY, input: x, projected: projected, down: context.value(of: pair.down),
                up: context.value(of: pair.up), column: pair.column, dDown: &dDown, dUp: &dUp, addingTo: &dX,
                in: context.workspace)
            if let slot = context.slot(of: pair.down) { gradients.add(dDown, at: slot) }
            if let slot = context.slot(of: pair.up) { gradients.add(dUp, at: slot) }
        }
    }
}

extension LoRA: MergeableAdapter {
    /// W + B A in the rows of q and v, in the order of the weight file.
    public func mergedWeight(_ name: String, _ weight: Tensor, in values: PassContext) -> Tensor? {
        guard let site = sites.first(where: { "\($0.name).weight" == name }) else { return nil }
        var merged = weight
        let width = site.inputWidth
        let destination = merged.mutablePointer
        for pair in pairs(at: site) {
            let update = FrozenMatrix(
                ElementwiseKernel.transpose(
                    values.value(of: pair.down), rows: rank, columns: width)
            ).applied(to: values.value(of: pair.up), in: values.workspace)  // [N, D]
            let source = update.pointer
            for row in 0..<site.outputWidth {
                let target = destination + site.storedRow(part: pair.part, row: row) * width
                for column in 0..<width { target[column] += source[row * width + column] }
            }
        }
        return merged
    }
}
