import Layers
import SegmentAnything
import Synchronization
package import Tensors
package import WeightFiles

/// The tensors of a weight file, read whenever they are requested: a large file then never lies in memory beside the
/// block that is filled from it.
///
/// Its names, shapes and values have been checked, but the file may have been cut or written to since. A tensor that
/// cannot be read has zeros, and `finish` throws.
package final class FileParameters: ParameterSource, Sendable {
    private let table: TensorTable
    private let fault = Mutex<WeightFileError?>(nil)

    /// Reads from a table whose contract has been checked.
    package init(_ table: TensorTable) { self.table = table }

    package func tensor(_ name: String, _ shape: Shape) -> Tensor {
        do {
            let tensor = try table.tensor(name)
            precondition(
                tensor.count == shape.count, "the weight contract has \(name) as \(tensor.shape), not \(shape)")
            return tensor.reshaped(shape)
        } catch {
            fault.withLock { $0 = $0 ?? error }
            return Tensor(zeros: shape)
        }
    }

    /// Throws if a tensor could not be read, or the file was written to since it was opened.
    package func finish() throws(WeightFileError) {
        if let fault = fault.withLock({ $0 }) { throw fault }
        try table.checkUnchanged()
    }
}
