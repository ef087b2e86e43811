public import Adapters
public import Collectives
public import Datasets
import Foundation
public import Layers
public import SegmentAnything
public import Telemetry
import Tensors
package import WeightFiles

/// A model with its weights, and the properties needed to apply an adapter.
public struct LoadedModel: Sendable {
    /// The model.
    public let model: SegmentAnythingModel
    /// The kind, as in recipes.
    public let kind: BaseModel
    /// How images are preprocessed for it.
    public let preprocessing: Preprocessing
    /// SHA-256 over names, shapes and values of the weights; independent of container and dialect. With an encoder that is
    /// global everywhere it says so, for nothing made for one encoder fits the other.
    public let baseDigest: String
    /// The placement of the weights, for the log; nil for a model of this process alone.
    public let placement: WeightsFact?
    /// Provides the frozen weights under their official names; building another model from it neither reads nor
    /// computes anything that the node shares.
    private let weights: @Sendable () -> any ParameterSource

    /// Loads the model of a recipe; only rank 0 reads the weight file. Collective.
    ///
    /// Throws `WeightFileError`, `RunError` and `CollectivesError`.
    public init(_ settings: ModelSettings, _ node: NodeSettings, communicator: any Communicator) throws {
        let configuration = try Self.configuration(settings)
        let base = try FrozenBase(configuration, node, communicator: communicator) {
            if let seeded = try Self.withoutFile(settings.kind, settings.weights) {
                return FrozenBase.Source(parameters: seeded.parameters, digest: seeded.digest) {}
            }
            let (table, contract) = try Self.file(settings.kind, configuration, settings.weights)
            try contract.check(table)
            let parameters = FileParameters(table)
            return FrozenBase.Source(
                parameters: parameters, digest: try table.contentDigest(), finish: parameters.finish)
        }
        self.init(
            base.model, settings, digest: base.digest, placement: base.placement, weights: base.parameters)
    }

    /// Loads a model for this process alone. Throws `WeightFileError` and `RunError`.
    public init(_ settings: ModelSettings) throws {
        let configuration = try Self.configuration(settings)
        let (parameters, digest) = try Self.read(settings.kind, configuration, settings.weights)
        self.init(
            SegmentAnythingModel(configuration, parameters), settings, digest: digest, placement: nil,
            weights: { parameters })
    }

    /// The prefix of a seed that replaces a weight file.
    private static let randomPrefix = "random:"

    /// The tensors of a weight file under the official names, and their digest. Throws `WeightFileError` and
    /// `RunError`.
    private static func read(
        _ kind: BaseModel, _ configuration: SegmentAnythingConfiguration, _ weights: String
    ) throws -> (parameters: any ParameterSource & Sendable, digest: String) {
        if let seeded = try withoutFile(kind, weights) { return seeded }
        let (table, contract) = try file(kind, configuration, weights)
        let parameters = ParameterStore(try contract.tensors(of: table))
        let digest = try table.contentDigest()
        try table.checkUnchanged()
        return (parameters, digest)
    }

    /// Seeded weights where no file is wanted, and a name in place of their digest; nil if a file is.
    private static func withoutFile(
        _ kind: BaseModel, _ weights: String
    ) throws(RunError) -> (parameters: any ParameterSource & Sendable, digest: String)? {
        guard kind.weights != nil else { return (SeededParameters(seed: 1), "\(kind.name)-seed-1") }
        if weights.hasPrefix(randomPrefix) {
            guard let seed = UInt64(weights.dropFirst(randomPrefix.count)) else {
                throw RunError(
                    .configuration, "model.weights=\(weights): random weights need a seed",
                    remedy: "write \(randomPrefix)1")
            }
            return (SeededParameters(seed: seed), "\(kind.name)-\(weights)")
        }
        return nil
    }

    /// An open weight file and what the model requires of it.
    private static func file(
        _ kind: BaseModel, _ configuration: SegmentAnythingConfiguration, _ weights: String
    ) throws -> (table: TensorTable, contract: WeightContract) {
        let table = try weightTable(kind, path: weights.isEmpty ? kind.weights?.path ?? "" : weights)
        let contract = WeightContract(
            Dictionary(
                SegmentAnythingModel.parameterShapes(configuration).map { ($0.name, $0.shape) },
                uniquingKeysWith: { first, _ in first }),
            ignorableNames: SegmentAnythingModel.unusedTensors,
            ignorableSuffixes: [".num_batches_tracked", ".attention_bias_idxs"])
        return (table, contract)
    }

    private init(
        _ model: SegmentAnythingModel, _ settings: ModelSettings, digest: String, placement: WeightsFact?,
        weights: @escaping @Sendable () -> any ParameterSource
    ) {
        (self.model, kind, self.placement) = (model, settings.kind, placement)
        baseDigest = (settings.allGlobalEncoder ? Self.allGlobalPrefix : "") + digest
        self.weights = weights
        preprocessing = Preprocessing(kind: settings.resolvedPreprocessing, side: model.encoder.imageSize)
    }

    /// Seeded random weights of a model, for benchmarks: sizes and speed are those of the real ones, no file is needed.
    ///
    /// Throws `RunError` for an input size the architecture does not support.
    public static func randomWeights(
        _ kind: BaseModel, seed: UInt64
    ) throws -> (SegmentAnythingConfiguration, any ParameterSource) {
        (try configuration(kind), SeededParameters(seed: seed))
    }

    /// The frozen weights under their official names.
    public var parameters: any ParameterSource { weights() }

    /// The sizes of a kind.
    public static func configuration(_ kind: BaseModel) throws(RunError) -> SegmentAnythingConfiguration {
        var settings = ModelSettings()
        settings.kind = kind
        return try configuration(settings)
    }

    /// The sizes that settings ask for. Throws `RunError` for an input size or an encoder the architecture does not have.
    public static func configuration(_ settings: ModelSettings) throws(RunError) -> SegmentAnythingConfiguration {
        let (kind, own) = (settings.kind, settings.kind.configuration.imageSize)
        guard settings.imageSize == 0 || settings.imageSize == own else {
            throw RunError(
                .configuration,
                "model.imageSize=\(settings.imageSize): the position tables of \(kind.name) are for \(own) pixels",
                remedy: "leave model.imageSize at 0")
        }
        guard settings.allGlobalEncoder else { return kind.configuration }
        guard let configuration = kind.configuration.allGlobal else {
            throw RunError(
                .configuration, "model.allGlobalEncoder=true: the encoder of \(kind.name) is not SAM's own",
                remedy: "choose vit_b, vit_l or vit_h in model.kind, or leave model.allGlobalEncoder at false")
        }
        return configuration
    }

    /// What precedes the digest of the weights under an encoder that is global everywhere.
    private static let allGlobalPrefix = "all-global:"

    /// Whether adapters with this digest of their base weights were made for such an encoder.
    public static func isAllGlobal(baseDigest: String) -> Bool { baseDigest.hasPrefix(allGlobalPrefix) }

    /// The weight file named by a recipe, or the location used by `scripts/fetch-weights`; nil if none is needed.
    package static func weightPath(_ model: ModelSettings) -> String? {
        guard let published = model.kind.weights, !model.weights.hasPrefix(randomPrefix) else { return nil }
        return model.weights.isEmpty ? published.path : model.weights
    }

    /// The tensors of a weight file under their official names. Throws `WeightFileError`, and `RunError` if the file
    /// does not exist.
    package static func weightTable(_ kind: BaseModel, path: String) throws -> TensorTable {
        guard FileManager.default.fileExists(atPath: path) else {
            throw RunError(
                .missingInput, "weight file \(path) does not exist",
                remedy:
                    "run `scripts/fetch-weights \(kind.weights?.fetchName ?? kind.name)`, set KEDGE_WEIGHTS_DIR to the "
                    + "folder that holds it, or set its path in model.weights")
        }
        try WeightFile.refusePart(path)
        let table = try WeightDialect.officialNames(try WeightFile.open(path))
        let identity = try WeightDialect.detect(table)
        guard kind.fits(identity.encoder) else {
            let owner = ModelCatalog.published(identity.encoder).first?.title ?? "\(identity.encoder)"
            throw WeightFileError(
                .dialect, path: path, found: "the weights of \(owner), not of \(kind.name)",
                remedy: "set the right file in model.weights or the right model in model.kind")
        }
        return table
    }

    /// The description that an adapter of this model carries.
    ///
    /// - Parameter intensity: How the images of its training became 8 bits; nil if that is not known.
    public func description(
        recipeDigest: String, step: Int, intensity: String? = nil
    ) -> AdapterFile.Description {
        AdapterFile.Description(
            model: kind.name, imageSize: model.encoder.imageSize, baseDigest: baseDigest,
            preprocessing: preprocessing.kind.rawValue, step: step, recipeDigest: recipeDigest, intensity: intensity)
    }

    /// The model with new trainable parameters over the same frozen weights.
    public func adapted(by trainables: Trainables) -> AdaptedModel {
        AdaptedModel(model.configuration, weights(), trainables)
    }

    /// The model without adaptation.
    public var base: AdaptedModel { AdaptedModel(model) }

    /// The model adapted by a file. Throws `WeightFileError`, or `RunError` if the file was trained with another
    /// preprocessing or encoder.
    public func adapted(opening path: String) throws -> AdaptedModel {
        let file = try AdapterFile(opening: path)
        guard file.description.preprocessing == preprocessing.kind.rawValue else {
            throw RunError(
                .configuration,
                "\(path) was trained with preprocessing \(file.description.preprocessing), not \(preprocessing.kind.rawValue)",
                remedy: "set model.preprocessing=\(file.description.preprocessing)")
        }
        let isAllGlobal = Self.isAllGlobal(baseDigest: file.description.baseDigest)
        guard isAllGlobal == Self.isAllGlobal(baseDigest: baseDigest) else {
            throw RunError(
                .configuration, "\(path) was trained with model.allGlobalEncoder=\(isAllGlobal)",
                remedy: "set model.allGlobalEncoder=\(isAllGlobal)")
        }
        let trainables = try file.trainables(in: ModelDescription(model.configuration))
        var adapted = adapted(by: trainables)
        adapted.trained?.values = try file.values(of: trainables.layout, baseDigest: baseDigest)
        return adapted
    }
}
