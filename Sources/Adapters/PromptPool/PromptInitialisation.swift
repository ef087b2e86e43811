import Layers
import Tensors

extension ParameterPlaces {
    /// A parameter uniform in +-1; a function of seed and name alone.
    mutating func uniform(_ name: String, _ shape: Shape, seed: UInt64) -> Parameter {
        var generator = SeededGenerator(seed: seed, purpose: name)
        return parameter(name, Tensor((0..<shape.count).map { _ in Float(generator.uniform(-1, 1)) }, shape))
    }

    /// A parameter whose rows are orthonormal as far as their length allows, by Gram and Schmidt; a function of seed and
    /// name alone.
    mutating func orthonormal(_ name: String, _ shape: Shape, seed: UInt64) -> Parameter {
        var generator = SeededGenerator(seed: seed, purpose: name)
        let size = shape.count / shape[0]
        var rows: [[Double]] = []
        for number in 0..<shape[0] {
            var row = (0..<size).map { _ in generator.uniform(-1, 1) }
            // More rows than a space has dimensions begin anew.
            for other in rows.suffix(number % size) {
                let part = zip(row, other).reduce(0) { $0 + $1.0 * $1.1 }
                for i in row.indices { row[i] -= part * other[i] }
            }
            let length = row.reduce(0) { $0 + $1 * $1 }.squareRoot()
            rows.append(row.map { $0 / length })
        }
        return parameter(name, Tensor(rows.joined().map(Float.init), shape))
    }
}

extension Tensor {
    /// A tensor of zeros with these elements as one of its rows.
    func placed(asRow row: Int, of shape: Shape) -> Tensor {
        var whole = Tensor(zeros: shape)
        (whole.mutablePointer + row * count).update(from: pointer, count: count)
        return whole
    }
}
