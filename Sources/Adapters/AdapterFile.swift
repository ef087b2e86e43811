public import Layers
public import SegmentAnything
public import Tensors
public import WeightFiles

/// An adaptation on disk: adapters and trained parameters as safetensors, with metadata on the model they belong to.
///
/// LoRA's matrices have the names of WeSAM's released code, model parameters those of the weight file.
public struct AdapterFile: Sendable {
    /// Metadata key that marks a file as a Kedge adapter.
    static let marker = "kedge_adapter"
    /// The format version that is written and read.
    static let version = "1"

    /// The origin of an adapter.
    public struct Description: Sendable, Equatable {
        /// Model kind as in recipes, for example `mobilesam`.
        public var model: String
        /// Side of the model's square input, pixels.
        public var imageSize: Int
        /// SHA-256 over names, shapes and values of the base weights.
        public var baseDigest: String
        /// Preprocessing of the adapter's training; any other gives other results.
        public var preprocessing: String
        /// Training steps.
        public var step: Int
        /// Digest of the recipe keys that affect the result.
        public var recipeDigest: String
        /// How the images of its training became 8 bits; nil in files that do not state it.
        public var intensity: String?

        /// Creates a description.
        public init(
            model: String, imageSize: Int, baseDigest: String, preprocessing: String, step: Int, recipeDigest: String,
            intensity: String? = nil
        ) {
            (self.model, self.imageSize, self.baseDigest) = (model, imageSize, baseDigest)
            (self.preprocessing, self.step, self.recipeDigest) = (preprocessing, step, recipeDigest)
            self.intensity = intensity
        }
    }

    /// The origin of the adaptation.
    public let description: Description
    /// The kinds of its adapters, in the order in which they act.
    public let kinds: [String]
    /// The settings of its adapters.
    public let options: AdapterOptions
    private let table: TensorTable

    /// A short description of the contents.
    public var title: String {
        if kinds == [LoRA.kind] { return "LoRA adapter of rank \(options.rank)" }
        return kinds.isEmpty ? "trained parameters" : "adapters \(kinds.joined(separator: ", "))"
    }

    /// Metadata key of the kinds of adapter; a file without it holds LoRA alone.
    private static let kindsKey = "adapters"
    private static let intensityKey = "intensity"
    private static let promptPoolKey = "prompt_pool"
    private static let stagesKey = "stages_begun"
    private static let promptKinds = [PromptPool.kind, StagePrompts.kind, PromptComponents.kind]

    /// Writes an adaptation; an earlier file remains until the new one is complete. Returns the file's SHA-256.
    ///
    /// - Parameter permission: Asked right before the file appears under its name.
    ///
    /// Throws `WeightFileError` if it cannot be written.
    @discardableResult
    public static func write(
        _ adapted: AdaptedModel, _ options: AdapterOptions, _ description: Description, to path: String,
        ifAllowed permission: () throws(WeightFileError) -> Void = {}
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
        metadata[intensityKey] = description.intensity
        if kinds.contains(where: promptKinds.contains) {
            metadata[promptPoolKey] = options.promptPool.text
            metadata[stagesKey] = String(adapted.begunStages)
        }
        if kinds != [LoRA.kind] { metadata[kindsKey] = kinds.joined(separator: " ") }
        return try SafetensorsFile.write(tensors, metadata: metadata, to: path, ifAllowed: permission).digest
    }

    /// Opens an adapter. Throws `WeightFileError` for any other file.
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
        var options = AdapterOptions(rank: rank)
        if let text = metadata[Self.promptPoolKey] {
            guard let sizes = PromptPoolSettings(text: text) else {
                throw WeightFileError(
                    .dialect, path: path, found: "the sizes \(text) of a pool of prompts", remedy: "give a whole file")
            }
            let begun = metadata[Self.stagesKey].flatMap { Int($0) } ?? 1
            guard (1...sizes.stages).contains(begun) else {
                throw WeightFileError(
                    .dialect, path: path, found: "\(begun) of \(sizes.stages) stages of prompts",
                    remedy: "give a whole file")
            }
            (options.promptPool, options.begunStages) = (sizes, begun)
        }
        self.options = options
        kinds = metadata[Self.kindsKey].map { $0.split(separator: " ").map(String.init) } ?? [LoRA.kind]
        description = Description(
            model: model, imageSize: imageSize, baseDigest: baseDigest, preprocessing: preprocessing, step: step,
            recipeDigest: metadata["recipe_digest"] ?? "", intensity: metadata[Self.intensityKey])
    }

    /// The trainables of the file in a model: its adapters, and the model's parameters that it holds.
    ///
    /// Throws `WeightFileError` of kind `dialect` for an unknown kind of adapter.
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
                .dialect, path: table.path, found: error.description, remedy: "use the version of Kedge that wrote it")
        }
    }

    /// The values of the file in a layout from `trainables`. // [P]
    ///
    /// Throws `WeightFileError` of kind `contract`, listing every tensor that does not fit, or if the base weights
    /// differ from those it was trained on.
    public func values(of layout: ParameterLayout, baseDigest: String) throws(WeightFileError) -> Tensor {
        try values(of: layout, without: [], baseDigest: baseDigest)
    }

    /// The same with zeros for parameters that the file does not hold.
    func values(
        of layout: ParameterLayout, without absent: Set<String>, baseDigest: String
    ) throws(WeightFileError) -> Tensor {
        guard baseDigest == description.baseDigest else {
            throw WeightFileError(
                .contract, path: table.path,
                found: "an adapter of base weights \(description.baseDigest.prefix(12)), not \(baseDigest.prefix(12))",
                remedy: "give the weights the adapter was trained on")
        }
        let held = layout.entries.filter { !absent.contains($0.name) }
        let shapes = Dictionary(uniqueKeysWithValues: held.map { ($0.name, $0.shape) })
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
