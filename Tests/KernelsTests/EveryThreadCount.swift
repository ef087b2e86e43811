import Foundation
import Kernels
import Machine
import Tensors
import Testing
import TestSupport

/// Runs a kernel with one, two and three threads and checks what must hold for every kernel.
enum EveryThreadCount {
    /// Expects that no run writes outside the output or leaves an element unwritten, and that all give the same bits.
    ///
    /// - Returns: The output's elements.
    static func run(
        _ shape: Shape, _ label: String = "", location: SourceLocation = #_sourceLocation,
        _ kernel: (inout Tensor, Workspace) -> Void
    ) -> [Float] {
        BLASEnvironment.useSingleThread()
        var first: [Float] = []
        for threads in 1...3 {
            var output = GuardedOutput(shape)
            kernel(&output.tensor, Workspace(threads: threads))
            #expect(output.isIntact, "\(label): guard bands, \(threads) threads", sourceLocation: location)
            if threads == 1 { first = output.tensor.elements }
            #expect(
                output.tensor.elements.map(\.bitPattern) == first.map(\.bitPattern),
                "\(label): bits with \(threads) threads", sourceLocation: location)
        }
        return first
    }

    /// GELU of every element, in Double.
    static func gelu(_ elements: [Double]) -> [Double] { elements.map { 0.5 * $0 * (1 + erf($0 / 2.0.squareRoot())) } }
}
