public import Kernels
import Tensors

// The bias of query (y, x) and key (y', x') is q . T_h[y - y'] + q . T_w[x - x'] with unscaled q (see AttentionBiasTerms). The
// weight file numbers the rows of a table by y - y' + S - 1, the kernel reads them in reversed order.

/// SAM's decomposed relative positions: a table along each side of the window or grid, which can train.
public struct RelativePositions: Sendable {
    private let height: PackedParameter
    private let width: PackedParameter
    /// The window's or the grid's side, tokens.
    private let side: Int
    private let columns: Int

    /// Requests `rel_pos_h` and `rel_pos_w` from a source.
    ///
    /// - Parameters:
    ///   - stored: The side that the tables were stored for; where it is another than `side` they are resized and never train.
    ///   - side: The side of the window or grid, tokens.
    ///   - columns: Width of a head.
    public init(_ source: some ParameterSource, stored: Int, side: Int, columns: Int) {
        (self.side, self.columns) = (side, columns)
        height = Self.table(source, "rel_pos_h", stored: stored, side: side, columns)
        width = Self.table(source, "rel_pos_w", stored: stored, side: side, columns)
    }

    private static func table(
        _ source: some ParameterSource, _ name: String, stored: Int, side: Int, _ columns: Int
    ) -> PackedParameter {
        let (shape, packed): (Shape, Shape) = ([2 * stored - 1, columns], [2 * side - 1, columns])
        guard stored != side else {
            return PackedParameter(
                source, name, shape, as: (name + "_reversed", packed), pack: AttentionBias.reversedTable,
                unpack: AttentionBias.reversedTable)
        }
        return PackedParameter(
            frozen: source.derived(name + "_reversed", packed) {
                AttentionBias.reversedTable(
                    AttentionBias.resizedTable(source.tensor(name, shape), rows: 2 * side - 1))
            })
    }

    /// Whether the tables have places among the trained values.
    public var canTrain: Bool { height.slot != nil || width.slot != nil }

    /// The bias of a pass.
    public func bias(in context: PassContext) -> AttentionBias {
        .decomposed(height: height.value(in: context), width: width.value(in: context), side: (side, side))
    }

    /// Room for the gradients of a pass; nil if the tables do not train in it.
    func room(in context: PassContext) -> AttentionBias.PositionGradients? {
        guard height.slot(in: context) != nil || width.slot(in: context) != nil else { return nil }
        let shape: Shape = [2 * side - 1, columns]
        return AttentionBias.PositionGradients(height: shape, width: shape)
    }

    /// Adds the gradients of both tables, given in the kernel's order.
    func add(
        _ dTables: AttentionBias.PositionGradients, to gradients: inout GradientBuffer, in context: PassContext
    ) {
        for (table, dTable) in [(height, dTables.height), (width, dTables.width)] {
            if let slot = table.slot(in: context) { gradients.add(AttentionBias.reversedTable(dTable), at: slot) }
        }
    }
}
