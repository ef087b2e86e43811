import Foundation
public import Tensors
public import WeightFiles

/// The sizes of a small official model, stored in the metadata of golden files under `config`.
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

    /// Side of the embedding's grid: SAM's patches have 16 pixels a side.
    public var side: Int { img / 16 }

    /// The reason these sizes are invalid for a model of SAM's kind, or nil.
    fileprivate var fault: String? {
        let positive = [img, dim, depth, heads, window, ed, mlp_dim, dheads]
        if positive.contains(where: { $0 <= 0 }) { return "a size is not positive" }
        if img % 16 != 0 { return "img \(img) is not a multiple of the patch side 16" }
        if dim % heads != 0 { return "heads \(heads) do not divide dim \(dim)" }
        if ed % 8 != 0 || ed / 2 % dheads != 0 { return "ed \(ed) is not a multiple of 8 and twice dheads \(dheads)" }
        if !glob.allSatisfy((0..<depth).contains) { return "glob \(glob) names a block outside depth \(depth)" }
        return nil
    }
}

extension Golden {
    /// Metadata of a file, decoded as the requested type. Throws if a key is missing.
    public static func configuration<Value: Decodable>(of table: TensorTable, as type: Value.Type) throws -> Value {
        try JSONDecoder().decode(type, from: Data((table.metadata["config"] ?? "").utf8))
    }

    /// The sizes in a file's metadata. Throws if a key is missing, and `GoldenError` for invalid sizes.
    public static func sizes(of table: TensorTable) throws -> GoldenSizes {
        let sizes = try configuration(of: table, as: GoldenSizes.self)
        if let fault = sizes.fault { throw GoldenError("\(table.path): config: \(fault)") }
        return sizes
    }

    /// The weights that a model or a part of it requests, by their official names; in the file they are below `prefix`.
    ///
    /// Throws `WeightFileError` of the rule `contract`, which lists tensors that are missing, misshapen or not finite.
    public static func weights(
        of table: TensorTable, _ requests: [(name: String, shape: Shape)], below prefix: String = "weights."
    ) throws -> [String: Tensor] {
        let shapes = Dictionary(requests.map { ($0.name, $0.shape) }, uniquingKeysWith: { first, _ in first })
        let asked = try table.renamed { name in
            guard name.hasPrefix(prefix) else { return nil }
            let official = String(name.dropFirst(prefix.count))
            return shapes[official] == nil ? nil : official
        }
        return try WeightContract(shapes).tensors(of: asked)
    }
}
