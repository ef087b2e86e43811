public import Tensors

// A model requests every tensor it will hold from its source, by name: those of the weight file and those derived from
// them. A first pass of requests without values determines the size of one block of memory and the start of each
// tensor. One process fills the block; any process that maps the block builds the same model over it, reading and
// computing nothing.

/// The layout of a model's frozen tensors in one block of memory.
public struct ParameterArena: Sendable {
    private struct Place {
        let offset: Int
        let shape: Shape
    }
    private let places: [String: Place]
    /// Floats of the block.
    public let floatCount: Int
    /// Bytes of the block.
    public var byteCount: Int { floatCount * MemoryLayout<Float>.stride }
    /// Every tensor starts at a multiple of 64 bytes.
    private static let alignment = 16

    /// Lays out the tensors that `build` requests.
    ///
    /// - Parameter build: Builds the model from a source; its tensors have no values and no memory of their own.
    public init(laying build: (any ParameterSource) -> Void) {
        let recorder = Recorder()
        build(recorder)
        var places: [String: Place] = [:]
        var next = 0
        for (name, shape) in recorder.requests where places[name] == nil {
            places[name] = Place(offset: next, shape: shape)
            next += (shape.count + Self.alignment - 1) / Self.alignment * Self.alignment
        }
        (self.places, floatCount) = (places, next)
    }

    /// Writes all tensors into a block of `floatCount` floats.
    ///
    /// - Parameters:
    ///   - build: Builds the model from a source, as for the layout.
    ///   - parameters: The tensors of the weight file.
    public func fill(
        _ block: UnsafeMutablePointer<Float>, from parameters: some ParameterSource,
        _ build: (any ParameterSource) -> Void
    ) {
        build(Filler(arena: self, block: block, parameters: parameters))
    }

    /// The tensors of a filled block.
    public func parameters(in block: TensorStorage) -> any ParameterSource { Reader(arena: self, block: block) }

    private func place(_ name: String, _ shape: Shape) -> Place {
        guard let place = places[name] else { preconditionFailure("the model did not ask for \(name) before") }
        precondition(place.shape == shape, "\(name) was \(place.shape) before and is \(shape) now")
        return place
    }

    /// Records requests; derived tensors are not computed.
    private final class Recorder: ParameterSource {
        var requests: [(name: String, shape: Shape)] = []

        func tensor(_ name: String, _ shape: Shape) -> Tensor {
            requests.append((name, shape))
            return Tensor(uninitialized: shape)
        }

        func derived(_ name: String, _ shape: Shape, _ make: () -> Tensor) -> Tensor { tensor(name, shape) }
    }

    /// Copies requested tensors to their places. Tensors that only serve to derive others have none.
    private struct Filler: ParameterSource {
        let arena: ParameterArena
        let block: UnsafeMutablePointer<Float>
        let parameters: any ParameterSource

        func tensor(_ name: String, _ shape: Shape) -> Tensor {
            let value = parameters.tensor(name, shape)
            if arena.places[name] != nil { write(value, name, shape) }
            return value
        }

        func derived(_ name: String, _ shape: Shape, _ make: () -> Tensor) -> Tensor {
            let value = parameters.derived(name, shape, make)
            write(value, name, shape)
            return value
        }

        private func write(_ value: Tensor, _ name: String, _ shape: Shape) {
            (block + arena.place(name, shape).offset).update(from: value.pointer, count: shape.count)
        }
    }

    /// Views of the block.
    private struct Reader: ParameterSource {
        let arena: ParameterArena
        let block: TensorStorage

        func tensor(_ name: String, _ shape: Shape) -> Tensor {
            Tensor(viewing: block, offset: arena.place(name, shape).offset, shape: shape)
        }

        func derived(_ name: String, _ shape: Shape, _ make: () -> Tensor) -> Tensor { tensor(name, shape) }
    }
}
