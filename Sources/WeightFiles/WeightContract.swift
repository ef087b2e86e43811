public import Tensors

/// The tensors that a model requires of a weight file: their names and shapes.
public struct WeightContract: Sendable {
    private let shapes: [String: [Int]]
    private let ignorableNames: Set<String>
    private let ignorableSuffixes: [String]

    /// Creates a contract.
    ///
    /// - Parameters:
    ///   - shapes: the tensors the model needs, by name.
    ///   - ignorableNames: tensors that the file may hold although no part of the model reads them.
    ///   - ignorableSuffixes: name suffixes of such tensors, as in `.num_batches_tracked`.
    public init(_ shapes: [String: Shape], ignorableNames: Set<String> = [], ignorableSuffixes: [String] = []) {
        self.shapes = shapes.mapValues(\.dimensions)
        self.ignorableNames = ignorableNames
        self.ignorableSuffixes = ignorableSuffixes
    }

    /// The tensors of the contract as floats. Throws one error of the rule `contract` that lists, each sorted by
    /// name, all tensors that are missing, unknown or misshapen, or that hold values that are not finite.
    /// Throws `unchanged` if the file is written to meanwhile.
    public func tensors(of table: TensorTable) throws(WeightFileError) -> [String: Tensor] {
        var tensors: [String: Tensor] = [:]
        try read(table) { tensors[$0] = $1 }
        return tensors
    }

    /// Checks the tensors as `tensors(of:)` does, without keeping them.
    public func check(_ table: TensorTable) throws(WeightFileError) {
        try read(table) { _, _ in }
    }

    private func read(_ table: TensorTable, _ keep: (String, Tensor) -> Void) throws(WeightFileError) {
        let missing = shapes.keys.filter { table[$0] == nil }
        let unknown = table.names.filter { shapes[$0] == nil && !isIgnorable($0) }
        var misshapen: [String] = []
        var notFinite: [String] = []
        for name in shapes.keys.sorted(by: precedes) {
            guard let entry = table[name], let shape = shapes[name] else { continue }
            guard entry.shape == shape else {
                misshapen.append("\(name) is \(entry.shape) instead of \(shape)")
                continue
            }
            let tensor = try table.tensor(name)
            if !isFinite(tensor) { notFinite.append(name) }
            keep(name, tensor)
        }
        try table.checkUnchanged()
        let faults = [
            list("missing", missing.sorted(by: precedes)), list("unknown", unknown), list("misshapen", misshapen),
            list("not finite", notFinite),
        ].compactMap { $0 }
        guard faults.isEmpty else {
            throw WeightFileError(
                .contract, path: table.path, found: faults.joined(separator: "; "),
                remedy: "give the weights of this model, or the model of these weights")
        }
    }

    private func isIgnorable(_ name: String) -> Bool {
        ignorableNames.contains(name) || ignorableSuffixes.contains { name.hasSuffix($0) }
    }

    private func list(_ kind: String, _ names: [String]) -> String? {
        names.isEmpty ? nil : "\(names.count) \(kind): \(names.joined(separator: ", "))"
    }

    /// Whether all elements are finite: none has all exponent bits set.
    private func isFinite(_ tensor: Tensor) -> Bool {
        var worst: UInt32 = 0
        for value in UnsafeBufferPointer(start: tensor.pointer, count: tensor.count) {
            worst = max(worst, value.bitPattern & 0x7f80_0000)
        }
        return worst != 0x7f80_0000
    }
}
