public import Tensors

/// A factor of matrix products that is constant for a whole pass, in the storage that products read.
///
/// Frozen weights reach every product in this form, so another precision is another case of `Storage` here and in
/// `MatrixProduct`, and no layer changes. A trained weight is frozen for the duration of a pass and used the same way.
public struct FrozenMatrix: Sendable {
    private enum Storage: Sendable {
        /// Single precision, row by row.
        case float32(Tensor)
    }
    private let storage: Storage
    /// Extent of the first dimension: output features of a weight.
    public let rows: Int
    /// Product of the other extents: input features of a weight.
    public let columns: Int

    /// The values in single precision, shared with the tensor. // [rows, ...]
    public init(_ values: Tensor) {
        precondition(values.shape.rank > 0, "a matrix has rows")
        rows = values.shape[0]
        columns = rows == 0 ? 0 : values.count / rows
        storage = .float32(values)
    }

    /// Number of elements.
    public var count: Int { rows * columns }

    /// The view that `MatrixProduct` reads; valid as long as this value.
    var operand: MatrixOperand {
        switch storage {
        case .float32(let values): .float32(values.pointer)
        }
    }
}

/// The right factor of a product as `MatrixProduct` reads it.
enum MatrixOperand {
    /// Single precision; the call states the distance between rows.
    case float32(UnsafePointer<Float>)
}
