public import Layers
public import SegmentAnything
public import Tensors
public import WeightFiles

/// An adaptation on disk: adapters and trained parameters as safetensors, and what they belong to as metadata.
///
/// LoRA's matrices have the names of WeSAM's released code, parameters of the model those of the weight file.
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

    /// What the adaptation belongs to.
    public let description: Description
    /// The kinds of its adapters, in the order in which they act.
    public let kinds: [String]
    /// The settings of its adapters.
    public let options: AdapterOptions
    private let table: TensorTable

    /// What it holds, in a few words.
    public var title: String {
        if kinds == [LoRA.kind] { return "LoRA adapter of rank \(options.rank)" }
        return kinds.isEmpty ? "trained parameters" : "adapters \(kinds.joined(separator: ", "))"
    }

    /// Key of the metadata that names the kinds of adapter; a file without it holds LoRA alone.
    private static let kindsKey = "adapters"

    /// Writes an adaptation; the former file stands until the new one is whole. Gives the file's SHA-256.
    ///
    /// Throws `WeightFileError` when it cannot be written.
    @discardableResult
    public static func write(
        _ adapted: AdaptedModel, _ options: AdapterOptions, _ description: Description, to path: String
    ) throws(WeightFileError) -> String {
        let tensors = adapted.layout.entries.compactMap { entry in
            adapted.trained.map { TensorToWrite(entry.name, $0.value(entry.slot)) }
        }
        let kinds = adapted.adapters.sets.map(\.kind)
        var metadata = [
            "format": "pt", marker: version, "model": description.model, "image_size": String(description.imageSize),
            "rank": String(options.rank), "base_digest": description.baseDigest,
            "preprocessing": description.preprocessing, "step": String(description.step),
            "recipe_digest": description.recipeDigest,
        ]
        if kinds != [LoRA.kind] { metadata[kindsKey] = kinds.joined(separator: " ") }
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
        options = AdapterOptions(rank: rank)
        kinds = metadata[Self.kindsKey].map { $0.split(separator: " ").map(String.init) } ?? [LoRA.kind]
        description = Description(
            model: model, imageSize: imageSize, baseDigest: baseDigest, preprocessing: preprocessing, step: step,
            recipeDigest: metadata["recipe_digest"] ?? "")
    }

    /// What the file trains in a model: its adapters, and the model's parameters that it holds.
    ///
    /// Throws `WeightFileError` of kind `dialect` for a kind of adapter that is not known.
    public func trainables(
        in model: ModelDescription, registry: AdapterRegistry = .known
    ) throws(WeightFileError) -> Trainables {
        let own = model.trainable.filter { table[$0.name] != nil }
        let plan = TrainablePlan(
            adapters: kinds.map { TrainablePlan.Adapter($0) },
            parameters: own.map { TrainablePlan.Selection($0.name, group: ParameterGroup("file")) })
        do {
            return try Trainables(plan, in: model, options, registry: registry)
        } catch {
            throw WeightFileError(
                .dialect, path: table.path, found: error.description, remedy: "use the Kedge that wrote the file")
        }
    }

    /// The numbers of the file in a layout from `trainables`. // [P]
    ///
    /// Throws `WeightFileError` of kind `contract`, listing every tensor that does not fit, or when the base weights are
    /// others than those it was trained on.
    public func values(of layout: ParameterLayout, baseDigest: String) throws(WeightFileError) -> Tensor {
        guard baseDigest == description.baseDigest else {
            throw WeightFileError(
                .contract, path: table.path,
                found: "an adapter of base weights \(description.baseDigest.prefix(12)), not \(baseDigest.prefix(12))",
                remedy: "give the weights the adapter was trained on")
        }
        let shapes = Dictionary(uniqueKeysWithValues: layout.entries.map { ($0.name, $0.shape) })
        let tensors = try WeightContract(shapes).tensors(of: table)
        var values = Tensor(zeros: [layout.count])
        let destination = values.mutablePointer
        for entry in layout.entries {
            guard let tensor = tensors[entry.name] else { continue }
            (destination + entry.offset).update(from: tensor.pointer, count: entry.shape.count)
        }
        return values
    }
}
