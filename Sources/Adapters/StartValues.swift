public import Layers
public import Tensors
public import WeightFiles

// Files whose tensors may begin the training of a layout:
//   an adapter file of Kedge         all of its tensors, over the same base weights
//   any other weight file            the tensors of the layout's names, with or without `mask_decoder.`: HQ-SAM's whole
//                                    models (sam_hq_vit_b.pth) and decoders (pretrain_maskDecoderHQ); the rest is not read

/// Initial values of trained parameters from a file, instead of fresh ones.
public struct StartValues: Sendable {
    /// The values. // [P]
    public let values: Tensor
    /// SHA-256 of the file.
    public let digest: String
    /// Tensors of the file that are not read.
    public let unreadCount: Int

    /// Reads the values of a layout.
    ///
    /// Throws `WeightFileError` if a tensor is missing, has another shape or holds values that are not finite, or if an
    /// adapter is of other base weights.
    ///
    /// - Parameter baseDigest: The digest of the base weights.
    public init(
        reading path: String, for layout: ParameterLayout, baseDigest: String
    ) throws(WeightFileError) {
        let table = try WeightFile.open(path)
        digest = try table.fileDigest()
        guard table.metadata[AdapterFile.marker] == nil else {
            values = try AdapterFile(opening: path).values(of: layout, baseDigest: baseDigest)
            unreadCount = 0
            return
        }
        var read = Tensor(zeros: [layout.count])
        let destination = read.mutablePointer
        for entry in layout.entries {
            let tensor = try Self.tensor(entry.name, entry.shape, of: table)
            (destination + entry.offset).update(from: tensor.pointer, count: tensor.count)
        }
        values = read
        unreadCount = table.names.count - layout.entries.count
    }

    /// What a log says of it.
    public func line(_ path: String) -> String {
        let rest = unreadCount == 0 ? "" : "; \(unreadCount) other tensors of it are not read"
        return "training begins with the values of \(path) (SHA-256 \(digest.prefix(12)))\(rest)"
    }

    /// The scope of the mask decoder, which files of a decoder alone leave out.
    private static let scope = "mask_decoder."

    private static func tensor(
        _ name: String, _ shape: Shape, of table: TensorTable
    ) throws(WeightFileError) -> Tensor {
        let short = name.hasPrefix(scope) ? String(name.dropFirst(scope.count)) : name
        guard let stored = [name, short].first(where: { table[$0] != nil }), let entry = table[stored] else {
            throw WeightFileError(
                .contract, path: table.path, found: "no tensor \(name), which the method trains",
                remedy: "give an adapter of this method, or HQ-SAM's weights for method.name=hq-sam")
        }
        guard Shape(entry.shape) == shape else {
            throw WeightFileError(
                .contract, path: table.path, found: "\(stored) is \(entry.shape) instead of \(shape)",
                remedy: "give a file of this model")
        }
        let tensor = try table.tensor(stored)
        guard tensor.elements.allSatisfy(\.isFinite) else {
            throw WeightFileError(
                .contract, path: table.path, found: "\(stored) holds numbers that are not finite",
                remedy: "give a whole file")
        }
        return tensor
    }
}
