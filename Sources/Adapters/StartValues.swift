import Layers
public import Tensors
public import WeightFiles

// Files whose tensors may begin the training of a layout:
//   an adapter file of Kedge         all of its tensors, over the same base weights
//   any other weight file            the tensors of the layout's names, with or without `mask_decoder.`: HQ-SAM's whole
//                                    models (sam_hq_vit_b.pth) and decoders (pretrain_maskDecoderHQ); the rest is not read
// An adapter that begins as nothing, all values 0, may be missing as a whole: it begins so.

/// Initial values of trained parameters from a file, instead of fresh ones.
public struct StartValues: Sendable {
    /// The values. // [P]
    public let values: Tensor
    /// SHA-256 of the file.
    public let digest: String
    /// Tensors of the file that are not read.
    public let unreadCount: Int
    /// Kinds of adapter that the file does not hold and that begin as nothing.
    public let freshKinds: [String]

    /// Reads the values of trainables.
    ///
    /// Throws `WeightFileError` if a tensor is missing, has another shape or holds values that are not finite, or if an
    /// adapter is of other base weights.
    ///
    /// - Parameter baseDigest: The digest of the base weights.
    public init(
        reading path: String, for trainables: Trainables, baseDigest: String
    ) throws(WeightFileError) {
        let (table, layout) = (try WeightFile.open(path), trainables.layout)
        digest = try table.fileDigest()
        let fresh = trainables.adapters.filter { Self.beginsAsNothing($0, beside: layout, in: table) }
        freshKinds = fresh.map(\.kind)
        let slots = Set(fresh.flatMap(\.parameters).compactMap(\.slot?.offset))
        let absent = Set(layout.entries.filter { slots.contains($0.offset) }.map(\.name))
        guard table.metadata[AdapterFile.marker] == nil else {
            values = try AdapterFile(opening: path).values(of: layout, without: absent, baseDigest: baseDigest)
            unreadCount = 0
            return
        }
        var read = Tensor(zeros: [layout.count])
        let destination = read.mutablePointer
        for entry in layout.entries where !absent.contains(entry.name) {
            let tensor = try Self.tensor(entry.name, entry.shape, of: table)
            (destination + entry.offset).update(from: tensor.pointer, count: tensor.count)
        }
        values = read
        unreadCount = table.names.count - (layout.entries.count - absent.count)
    }

    /// Whether all values of a fresh adapter are 0 and the file has none of them.
    private static func beginsAsNothing(
        _ adapter: any AdapterSet, beside layout: ParameterLayout, in table: TensorTable
    ) -> Bool {
        let slots = Set(adapter.parameters.compactMap(\.slot?.offset))
        let names = layout.entries.filter { slots.contains($0.offset) }.map(\.name)
        return !names.isEmpty && adapter.parameters.allSatisfy { $0.frozen.elements.allSatisfy { $0 == 0 } }
            && names.allSatisfy { stored($0, in: table) == nil }
    }

    /// What a log says of it.
    public func line(_ path: String) -> String {
        let rest = unreadCount == 0 ? "" : "; \(unreadCount) other tensors of it are not read"
        let fresh = freshKinds.isEmpty ? "" : "; \(freshKinds.joined(separator: ", ")) not in it, begins at zero"
        return "training begins with the values of \(path) (SHA-256 \(digest.prefix(12)))\(rest)\(fresh)"
    }

    /// The scope of the mask decoder, which files of a decoder alone leave out.
    private static let scope = "mask_decoder."

    /// The name of a tensor in the file, with or without the scope.
    private static func stored(_ name: String, in table: TensorTable) -> String? {
        let short = name.hasPrefix(scope) ? String(name.dropFirst(scope.count)) : name
        return [name, short].first { table[$0] != nil }
    }

    private static func tensor(
        _ name: String, _ shape: Shape, of table: TensorTable
    ) throws(WeightFileError) -> Tensor {
        guard let stored = stored(name, in: table), let entry = table[stored] else {
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
