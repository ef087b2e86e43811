import Foundation
public import Kernels
public import Tensors

// For n instances, teacher embedding E^t and anchor embedding E^a, each with its own masks M [n, h w] (section 3.3):
//   u = E / |E| cell by cell,   f_j = sum of M_j u / max(|M_j|, 1)
//   s_jk = cos(f^t_j, f^a_k) / tau,   L = log sum_jk e^s_jk - log sum_j e^s_jj
// Backward to E^t, with P = softmax of all s and Q = softmax of the diagonal:
//   dL/ds_jk = P_jk - [j = k] Q_j            (mean of K rows: (softmax of row j - [j = k]) / K)
//   df_j = sum_k dL/ds_jk (g_k - cos_jk v_j) / (tau |f_j|),   v = f^t / |f^t|,  g = f^a / |f^a|
//   du = M^T (df / |M|),   dE^t from du by the normalisation
// One instance gives exactly 0 and no gradient: the ratio has a single term.

/// WeSAM's contrast between the teacher's and the anchor's features of the same regions (section 3.3; InfoNCE with one
/// ratio per image, or per region for patches).
public struct ContrastiveLoss: Sendable {
    /// Minimum length a feature is divided by, as in PyTorch's cosine similarity.
    static let epsilon = 1e-8

    /// tau.
    public let temperature: Double

    /// The regions being contrasted.
    public let form: ContrastForm

    /// Creates a contrastive loss.
    public init(temperature: Double = 0.3, form: ContrastForm = .instances) {
        (self.temperature, self.form) = (temperature, form)
    }

    /// One branch's input to the contrast.
    public struct Branch: Sendable {
        /// The image embedding. // [h w, C]
        public let embedding: Tensor
        /// Low-resolution mask logits. // [n, 4 h, 4 w]
        public let logits: Tensor

        /// Creates a branch from an embedding and its masks.
        public init(embedding: Tensor, logits: Tensor) { (self.embedding, self.logits) = (embedding, logits) }
    }

    /// The loss and its gradient with respect to the teacher's embedding.
    ///
    /// - Parameters:
    ///   - weight: Factor on the gradient (not on the value).
    ///   - dEmbedding: The gradient is added to it. // [h w, C]
    /// - Returns: The loss.
    public func callAsFunction(
        teacher: Branch, anchor: Branch, weight: Double = 1, addingTo dEmbedding: inout Tensor,
        in workspace: Workspace
    ) -> Double {
        let count = form.count(teacher.logits)
        precondition(anchor.logits.shape == teacher.logits.shape && teacher.embedding.shape == anchor.embedding.shape)
        if count < 2 { return 0 }
        let first = Features(teacher, form, in: workspace)
        let second = Features(anchor, form, in: workspace)
        let cosines = first.units.map { v in second.units.map { g in dot(v, g) } }
        let (value, slopes) = form.isMeanOfRows ? meanOfRows(cosines) : ratio(cosines)
        let dFeatures = (0..<count).map { j in
            first.gradient(of: j, cosines: cosines[j], slopes: slopes[j], second.units, factor: weight / temperature)
        }
        let (cells, channels) = (teacher.embedding.shape[0], teacher.embedding.shape[1])
        var dUnit = Tensor(uninitialized: [cells, channels])
        LinearKernel.backwardInput(
            ElementwiseKernel.transpose(first.masks, rows: count, columns: cells),
            weight: FrozenMatrix(Tensor(dFeatures.flatMap { $0.map(Float.init) }, [count, channels])), into: &dUnit,
            in: workspace)
        UnitNormKernel.backward(
            dUnit, output: first.normalised, scale: first.scale, addingTo: &dEmbedding, in: workspace)
        return value
    }

    /// L and dL/ds from the cosines; the largest s is subtracted before exponentials.
    private func ratio(_ cosines: [[Double]]) -> (value: Double, slopes: [[Double]]) {
        let scaled = cosines.map { $0.map { $0 / temperature } }
        let largest = scaled.flatMap { $0 }.reduce(-Double.infinity) { max($0, $1) }
        let terms = scaled.map { $0.map { exp($0 - largest) } }
        let all = terms.reduce(0) { $0 + $1.reduce(0, +) }
        let diagonal = terms.indices.reduce(0) { $0 + terms[$1][$1] }
        let slopes = terms.indices.map { j in
            terms.indices.map { k in terms[j][k] / all - (j == k ? terms[j][k] / diagonal : 0) }
        }
        return (log(all) - log(diagonal), slopes)
    }

    /// The mean over j of log sum_k e^s_jk - s_jj, and dL/ds.
    private func meanOfRows(_ cosines: [[Double]]) -> (value: Double, slopes: [[Double]]) {
        let count = Double(cosines.count)
        var value = 0.0
        let slopes = cosines.indices.map { j -> [Double] in
            let scaled = cosines[j].map { $0 / temperature }
            let largest = scaled.reduce(-Double.infinity) { max($0, $1) }
            let terms = scaled.map { exp($0 - largest) }
            let all = terms.reduce(0, +)
            value += log(all) + largest - scaled[j]
            return terms.indices.map { k in (terms[k] / all - (j == k ? 1 : 0)) / count }
        }
        return (value / count, slopes)
    }

    /// The masks on the embedding's grid: 1 where the logits, reduced to it bilinearly, are above 0. // [n, h w]
    ///
    /// Without antialiasing, a reduction by four is the mean of the two middle rows and columns of each block of 4 x 4.
    package static func masks(_ logits: Tensor, in workspace: Workspace) -> Tensor {
        let (count, height, width) = (logits.shape[0], logits.shape[1] / 4, logits.shape[2] / 4)
        var reduced = Tensor(uninitialized: [count, height, width])
        BilinearResizeKernel.forward(logits, into: &reduced, in: workspace)
        return Tensor(reduced.elements.map { $0 > 0 ? 1 : 0 }, [count, height * width])
    }

    /// The features of one branch's regions.
    private struct Features {
        let masks: Tensor  // [n, h w]
        let normalised: Tensor  // [h w, C]
        let scale: Tensor  // [h w]
        /// max(|M_j|, 1).
        let counts: [Double]
        /// max(|f_j|, eps).
        let lengths: [Double]
        /// f_j / max(|f_j|, eps). // n x C
        let units: [[Double]]

        init(_ branch: Branch, _ form: ContrastForm, in workspace: Workspace) {
            let (cells, channels) = (branch.embedding.shape[0], branch.embedding.shape[1])
            let masks = form.regions(branch.logits, in: workspace)
            precondition(masks.shape[1] == cells, "masks of \(masks.shape[1]) cells for \(cells)")
            let count = masks.shape[0]
            var normalised = Tensor(uninitialized: branch.embedding.shape)
            var scale = Tensor(uninitialized: [cells])
            UnitNormKernel.forward(branch.embedding, into: &normalised, scale: &scale, in: workspace)
            var sums = Tensor(uninitialized: [count, channels])
            LinearKernel.backwardInput(masks, weight: FrozenMatrix(normalised), into: &sums, in: workspace)
            let (bits, totals) = (masks.elements, sums.elements)
            var (counts, lengths, units): ([Double], [Double], [[Double]]) = ([], [], [])
            for j in 0..<count {
                counts.append(max(1, bits[(j * cells)..<((j + 1) * cells)].reduce(0) { $0 + Double($1) }))
                let feature = totals[(j * channels)..<((j + 1) * channels)].map { Double($0) / counts[j] }
                let length = max(dot(feature, feature).squareRoot(), ContrastiveLoss.epsilon)
                lengths.append(length)
                units.append(feature.map { $0 / length })
            }
            (self.masks, self.normalised, self.scale) = (masks, normalised, scale)
            (self.counts, self.lengths, self.units) = (counts, lengths, units)
        }

        /// factor df_j / |M_j|: the gradient of every cell of instance j. // C
        func gradient(
            of j: Int, cosines: [Double], slopes: [Double], _ others: [[Double]], factor: Double
        ) -> [Double] {
            // A feature shorter than eps is divided by eps, and its length carries no gradient.
            let isHeld = lengths[j] <= ContrastiveLoss.epsilon
            let along = isHeld ? 0 : dot(cosines, slopes)
            let scale = factor / (lengths[j] * counts[j])
            return units[j].indices.map { channel in
                let towards = others.indices.reduce(0) { $0 + slopes[$1] * others[$1][channel] }
                return (towards - along * units[j][channel]) * scale
            }
        }
    }
}

private func dot(_ a: [Double], _ b: [Double]) -> Double { zip(a, b).reduce(0) { $0 + $1.0 * $1.1 } }
