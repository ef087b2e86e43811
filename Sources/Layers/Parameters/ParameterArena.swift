public import Tensors

// A model asks its source for every tensor it will hold, by name: those of the weight file and those derived from them.
// Asked once without values, it has told what one block of memory must hold, and where each tensor starts. One process
// fills the block; any process that sees the block builds the same model over it without reading or computing anything.

/// Where the frozen tensors of a model lie in one block of memory.
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

    /// Lays out what `build` asks for.
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

    /// The tensors of a block that is filled.
    public func parameters(in block: TensorStorage) -> any ParameterSource { Reader(arena: self, block: block) }

    private func place(_ name: String, _ shape: Shape) -> Place {
        guard let place = places[name] else { preconditionFailure("the model did not ask for \(name) before") }
        precondition(place.shape == shape, "\(name) was \(place.shape) before and is \(shape) now")
        return place
    }

    /// Writes down what is asked for; derived tensors are not made.
    private final class Recorder: ParameterSource {
        var requests: [(name: String, shape: Shape)] = []

        func tensor(_ name: String, _ shape: Shape) -> Tensor {
            requests.append((name, shape))
            return Tensor(uninitialized: shape)
        }

        func derived(_ name: String, _ shape: Shape, _ make: () -> Tensor) -> Tensor { tensor(name, shape) }
    }

    /// Copies what is asked for to its place. Tensors that only serve to derive others have none.
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
