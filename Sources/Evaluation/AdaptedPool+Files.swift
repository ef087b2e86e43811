public import Adapters
public import ModelLoading
import Routing
public import SegmentAnything
public import Telemetry
public import WeightFiles

extension AdaptedPool {
    /// A pool's adapted models and its router over loaded base weights.
    ///
    /// Throws `WeightFileError` for a pool of other base weights, without a router or with one of other domains, and the
    /// errors of its files.
    public init(_ files: AdapterPool, over loaded: LoadedModel) throws {
        func fault(_ found: String, _ remedy: String) -> WeightFileError {
            WeightFileError(.pool, path: files.path, found: found, remedy: remedy)
        }
        try files.check(baseDigest: loaded.baseDigest)
        guard let file = files.router else {
            throw fault("no router", "train one with kedge pool train-router")
        }
        let router = try DomainRouterFile(opening: files.path(of: file)).router(
            in: ModelDescription(loaded.model.configuration), baseDigest: loaded.baseDigest)
        guard router.domains == files.entries.map(\.domain) else {
            throw fault(
                "a router of the domains \(router.domains.joined(separator: ", "))",
                "let its run go on, or train the router again with kedge pool train-router")
        }
        self.init(
            base: loaded.base, members: try files.entries.map { try loaded.adapted(opening: files.path(of: $0.file)) },
            router: router)
    }
}

extension AdapterPool {
    /// Throws `WeightFileError` unless the pool is one over these base weights.
    public func check(baseDigest digest: String) throws(WeightFileError) {
        guard baseDigest == digest else {
            throw WeightFileError(
                .pool, path: path,
                found: "a pool over base weights \(baseDigest.prefix(12)) of \(model), not \(digest.prefix(12))",
                remedy:
                    "set the weights to those the pool was trained on (model.weights, --weights) and model.allGlobalEncoder to its own"
            )
        }
    }

    /// How images are brought to the model's square. Throws `RunError` for a view of another version.
    public var evaluationView: EvaluationView {
        get throws(RunError) {
            if let view = EvaluationView(rawValue: view) { return view }
            throw RunError(
                .badData, "\(path): a pool of the view \(view)", remedy: "use the version of Kedge that wrote it")
        }
    }

    /// Throws `RunError` unless the pool is of a model and its router knows images in a view.
    ///
    /// - Parameters:
    ///   - key: How the user names a model, as in `model.kind=` or `--model `.
    ///   - asked: The view; nil for that of the pool.
    public func check(model kind: BaseModel, _ key: String = "model.kind=", view asked: EvaluationView?)
        throws(RunError)
    {
        guard model == kind.name else {
            throw RunError(
                .configuration, "the pool \(path) is of the model \(model), not \(kind.name)",
                remedy: "use \(key)\(model)")
        }
        guard let asked, view != asked.rawValue else { return }
        throw RunError(
            .configuration,
            "the router of \(path) knows images of evaluation.view=\(view), not \(asked.rawValue)",
            remedy: "set evaluation.view=\(view)")
    }
}
