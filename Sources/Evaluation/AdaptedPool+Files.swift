public import Adapters
public import ModelLoading
import Routing
import SegmentAnything
import WeightFiles

extension AdaptedPool {
    /// A pool's adapted models and its router over loaded base weights.
    ///
    /// Throws `WeightFileError` for a pool of other base weights, without a router or with one of other domains, and the
    /// errors of its files.
    public init(_ files: AdapterPool, over loaded: LoadedModel) throws {
        func fault(_ found: String, _ remedy: String) -> WeightFileError {
            WeightFileError(.pool, path: files.path, found: found, remedy: remedy)
        }
        guard files.baseDigest == loaded.baseDigest else {
            throw fault(
                "a pool over base weights \(files.baseDigest.prefix(12)) of \(files.model), not \(loaded.baseDigest.prefix(12))",
                "set model.kind, model.weights and model.allGlobalEncoder to those the pool was trained on")
        }
        guard let file = files.router else {
            throw fault("no router", "let the run with continual.strategy=moda reach the end of a stage")
        }
        let router = try DomainRouterFile(opening: files.path(of: file)).router(
            in: ModelDescription(loaded.model.configuration), baseDigest: loaded.baseDigest)
        guard router.domains == files.entries.map(\.domain) else {
            throw fault(
                "a router of the domains \(router.domains.joined(separator: ", "))",
                "take the pool from a backup, or train it again")
        }
        self.init(
            base: loaded.base, members: try files.entries.map { try loaded.adapted(opening: files.path(of: $0.file)) },
            router: router)
    }
}
