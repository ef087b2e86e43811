public import SegmentAnything
import Tensors
public import WeightFiles

// A router on disk is a safetensors file. Tensors, of which the first two exist in every router:
//   classifier_head.0.weight [T, D], classifier_head.0.bias [T]       the head
//   cls_token [1, k, D]                                               tokens, for the query `tokens`
//   standardisation.mean [D], standardisation.deviation [D]           the scale of the queries, if they have one
//   rejection.*                                                       the rule of rejection, if there is one
// Names of head and tokens are those of CoSAM's released router files.

/// A router on disk, with metadata on the model it belongs to.
public struct DomainRouterFile: Sendable {
    /// Metadata key that marks a file as a Kedge router.
    static let marker = "kedge_router"
    /// The format version that is written and read.
    static let version = "1"

    /// The origin of a router.
    public struct Description: Sendable, Equatable {
        /// Model kind as in recipes, for example `mobilesam`.
        public var model: String
        /// Side of the model's square input, pixels.
        public var imageSize: Int
        /// SHA-256 over names, shapes and values of the base weights.
        public var baseDigest: String
        /// Preprocessing of the memory images; any other gives other queries.
        public var preprocessing: String
        /// How the memory images became 8 bits; nil if that is not stated.
        public var intensity: String?

        /// Creates a description.
        public init(model: String, imageSize: Int, baseDigest: String, preprocessing: String, intensity: String? = nil)
        {
            (self.model, self.imageSize, self.baseDigest) = (model, imageSize, baseDigest)
            (self.preprocessing, self.intensity) = (preprocessing, intensity)
        }
    }

    /// The origin of the router.
    public let description: Description
    /// The vector it reads.
    public let query: RouterQuery
    /// The names of its domains, in the training sequence.
    public let domains: [String]
    private let table: TensorTable

    /// The distance above which an image is rejected; nil for a router that rejects none.
    public var rejectionThreshold: Float? { (try? table.tensor(RejectionRule.thresholdName))?.elements.first }

    /// Names of optional tensors.
    private enum Name {
        static let mean = "standardisation.mean"
        static let deviation = "standardisation.deviation"
        static func domain(_ index: Int) -> String { "domain.\(index)" }
    }

    /// Writes a router; an earlier file remains until the new one is complete. Returns the file's SHA-256.
    ///
    /// - Parameter permission: Asked right before the file appears under its name.
    ///
    /// Throws `WeightFileError` if it cannot be written.
    @discardableResult
    public static func write(
        _ router: DomainRouter, _ description: Description, to path: String,
        ifAllowed permission: () throws(WeightFileError) -> Void = {}
    ) throws(WeightFileError) -> String {
        var tensors = [
            TensorToWrite(RouterHead.weightName, router.head.weight),
            TensorToWrite(RouterHead.biasName, router.head.bias),
        ]
        if let tokens = router.tokens { tensors.append(TensorToWrite(RouterTokens.name, tokens.values)) }
        if let scale = router.standardisation {
            tensors.append(TensorToWrite(Name.mean, Tensor(scale.mean, [scale.mean.count])))
            tensors.append(TensorToWrite(Name.deviation, Tensor(scale.deviation, [scale.deviation.count])))
        }
        tensors += (router.rejection?.tensors ?? []).map { TensorToWrite($0.name, $0.tensor) }
        var metadata = [
            "format": "pt", marker: version, "model": description.model, "image_size": String(description.imageSize),
            "base_digest": description.baseDigest, "preprocessing": description.preprocessing,
            "query": router.query.rawValue, "domains": String(router.domains.count),
        ]
        metadata["intensity"] = description.intensity
        for (index, name) in router.domains.enumerated() { metadata[Name.domain(index)] = name }
        return try SafetensorsFile.write(tensors, metadata: metadata, to: path, ifAllowed: permission).digest
    }

    /// Opens a router. Throws `WeightFileError` for any other file.
    public init(opening path: String) throws(WeightFileError) {
        table = try SafetensorsFile.read(path)
        let metadata = table.metadata
        guard metadata[Self.marker] == Self.version, let model = metadata["model"],
            let imageSize = metadata["image_size"].flatMap({ Int($0) }), let baseDigest = metadata["base_digest"],
            let preprocessing = metadata["preprocessing"],
            let query = metadata["query"].flatMap(RouterQuery.init(rawValue:)),
            let count = metadata["domains"].flatMap({ Int($0) }), (1...Self.domainLimit).contains(count)
        else {
            throw WeightFileError(
                .dialect, path: path, found: "a safetensors file without the metadata of a Kedge router",
                remedy: "give the router file of a run")
        }
        let names = (0..<count).compactMap { metadata[Name.domain($0)] }
        guard names.count == count else {
            throw WeightFileError(
                .dialect, path: path, found: "\(names.count) names for \(count) domains",
                remedy: "fetch the router file again, or train the router again")
        }
        (self.query, domains) = (query, names)
        description = Description(
            model: model, imageSize: imageSize, baseDigest: baseDigest, preprocessing: preprocessing,
            intensity: metadata["intensity"])
    }

    /// Domains that a file may state.
    private static let domainLimit = 100_000

    /// The router of the file in a model.
    ///
    /// Throws `WeightFileError` of kind `contract` if the base weights differ from those it was trained on, listing every
    /// tensor that does not fit, or if the model cannot compute the query.
    public func router(in model: ModelDescription, baseDigest: String) throws(WeightFileError) -> DomainRouter {
        func fault(_ found: String, _ remedy: String) -> WeightFileError {
            WeightFileError(.contract, path: table.path, found: found, remedy: remedy)
        }
        guard baseDigest == description.baseDigest else {
            throw fault(
                "a router of base weights \(description.baseDigest.prefix(12)), not \(baseDigest.prefix(12))",
                "give the weights the router was trained on")
        }
        let width: Int
        do { width = try query.width(in: model) } catch {
            throw fault(error.description, "give the model the router was trained on")
        }
        var shapes: [String: Shape] = [
            RouterHead.weightName: [domains.count, width], RouterHead.biasName: [domains.count],
        ]
        if query == .tokens {
            let count = table[RouterTokens.name]?.shape.dropFirst().first ?? 1
            shapes[RouterTokens.name] = [1, max(count, 1), width]
        }
        let isStandardised = table[Name.mean] != nil || table[Name.deviation] != nil
        if isStandardised { (shapes[Name.mean], shapes[Name.deviation]) = ([width], [width]) }
        let rejects = table.names.contains { $0.hasPrefix(RejectionRule.prefix) }
        if rejects {
            let images = RejectionRule.images { table[$0]?.shape }
            for part in RejectionRule.shapes(domains: domains.count, images: images, width: width) {
                shapes[part.name] = part.shape
            }
        }
        let tensors = try WeightContract(shapes).tensors(of: table)
        func tensor(_ name: String) -> Tensor { tensors[name] ?? Tensor(zeros: [0]) }
        let deviation = tensor(Name.deviation).elements
        let rejection = rejects ? RejectionRule(tensor) : nil
        guard deviation.allSatisfy({ $0 >= 0 }), !rejects || rejection != nil else {
            throw fault(
                "deviations or variances that are not positive", "fetch the router file again, or train it again")
        }
        return DomainRouter(
            query, tokens: query == .tokens ? RouterTokens(values: tensor(RouterTokens.name)) : nil,
            standardisation: isStandardised
                ? FeatureStandardisation(mean: tensor(Name.mean).elements, deviation: deviation) : nil,
            head: RouterHead(weight: tensor(RouterHead.weightName), bias: tensor(RouterHead.biasName)),
            rejection: rejection, domains: domains)
    }
}
