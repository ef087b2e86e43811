import Tensors
public import WeightFiles

/// An adapter on disk: the LoRA matrices as safetensors under WeSAM's names, and what they belong to as metadata.
public struct AdapterFile: Sendable {
    /// Key of the metadata that marks a file as an adapter of this form.
    static let marker = "kedge_adapter"
    /// The form that is written and read.
    static let version = "1"

    /// What an adapter was trained on and how.
    public struct Description: Sendable, Equatable {
        /// Model kind as in recipes, for example `mobilesam`.
        public var model: String
        /// Side of the model's square input, pixels.
        public var imageSize: Int
        /// SHA-256 over names, shapes and values of the base weights.
        public var baseDigest: String
        /// Preprocessing the adapter was trained with; other preprocessing gives other results.
        public var preprocessing: String
        /// Training steps.
        public var step: Int
        /// Digest of the recipe's keys that shape the result.
        public var recipeDigest: String

        /// Creates a description.
        public init(
            model: String, imageSize: Int, baseDigest: String, preprocessing: String, step: Int, recipeDigest: String
        ) {
            (self.model, self.imageSize, self.baseDigest) = (model, imageSize, baseDigest)
            (self.preprocessing, self.step, self.recipeDigest) = (preprocessing, step, recipeDigest)
        }
    }

    /// What the adapter belongs to.
    public let description: Description
    /// Rank of its matrices.
    public let rank: Int
    private let table: TensorTable

    /// Writes an adapter; the former file stands until the new one is whole. Gives the file's SHA-256.
    ///
    /// Throws `WeightFileError` when it cannot be written.
    @discardableResult
    public static func write(
        _ adapter: LoRAAdapter, _ description: Description, to path: String
    ) throws(WeightFileError) -> String {
        let tensors = adapter.layout.entries.map { TensorToWrite($0.name, adapter.matrix($0)) }
        let metadata = [
            "format": "pt", marker: version, "model": description.model, "image_size": String(description.imageSize),
            "rank": String(adapter.layout.rank), "base_digest": description.baseDigest,
            "preprocessing": description.preprocessing, "step": String(description.step),
            "recipe_digest": description.recipeDigest,
        ]
        return try SafetensorsFile.write(tensors, metadata: metadata, to: path).digest
    }

    /// Opens an adapter. Throws `WeightFileError` for a file that is none.
    public init(opening path: String) throws(WeightFileError) {
        table = try SafetensorsFile.read(path)
        let metadata = table.metadata
        guard metadata[Self.marker] == Self.version, let model = metadata["model"],
            let imageSize = metadata["image_size"].flatMap({ Int($0) }),
            let rank = metadata["rank"].flatMap({ Int($0) }), (1...256).contains(rank),
            let baseDigest = metadata["base_digest"],
            let preprocessing = metadata["preprocessing"], let step = metadata["step"].flatMap({ Int($0) })
        else {
            throw WeightFileError(
                .dialect, path: path, found: "a safetensors file without the metadata of a Kedge adapter",
                remedy: "give the adapter.safetensors of a run, or base weights with --weights")
        }
        self.rank = rank
        description = Description(
            model: model, imageSize: imageSize, baseDigest: baseDigest, preprocessing: preprocessing, step: step,
            recipeDigest: metadata["recipe_digest"] ?? "")
    }

    /// The adapter for an encoder with these sites. Throws `contract`, listing every tensor that does not fit, and
    /// `contract` when the base weights are others than those it was trained on.
    public func adapter(for layout: LoRALayout, baseDigest: String) throws(WeightFileError) -> LoRAAdapter {
        guard baseDigest == description.baseDigest else {
            throw WeightFileError(
                .contract, path: table.path,
                found: "an adapter of base weights \(description.baseDigest.prefix(12)), not \(baseDigest.prefix(12))",
                remedy: "give the weights the adapter was trained on")
        }
        let shapes = Dictionary(uniqueKeysWithValues: layout.entries.map { ($0.name, $0.shape) })
        let tensors = try WeightContract(shapes).tensors(of: table)
        var parameters = Tensor(zeros: [layout.count])
        let destination = parameters.mutablePointer
        for entry in layout.entries {
            guard let tensor = tensors[entry.name] else { continue }
            (destination + entry.offset).update(from: tensor.pointer, count: entry.shape.count)
        }
        return LoRAAdapter(layout: layout, parameters: parameters)
    }
}
