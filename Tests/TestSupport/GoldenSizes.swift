import Foundation
public import Tensors
public import WeightFiles

/// The sizes of a small official model, as golden files carry them in their metadata under `config`.
public struct GoldenSizes: Decodable, Sendable {
    public var img: Int
    public var dim: Int
    public var depth: Int
    public var heads: Int
    public var window: Int
    public var glob: [Int]
    public var ed: Int
    public var mlp_dim: Int
    public var dheads: Int
}

extension Golden {
    /// What a file's metadata says, as the asked type. Throws where a key is missing.
    public static func configuration<Value: Decodable>(of table: TensorTable, as type: Value.Type) throws -> Value {
        try JSONDecoder().decode(type, from: Data((table.metadata["config"] ?? "").utf8))
    }

    /// The tensors of a file under `weights.`, by their official names.
    public static func weights(of table: TensorTable) throws -> [String: Tensor] {
        var tensors: [String: Tensor] = [:]
        for name in table.names where name.hasPrefix("weights.") {
            tensors[String(name.dropFirst("weights.".count))] = try table.tensor(name)
        }
        return tensors
    }
}
