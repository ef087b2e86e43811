import AdaptationMethods
import Adapters
import Datasets
import Evaluation
import Foundation
import Layers
import ModelLoading
import Recipes
import Routing
import SegmentAnything
import Telemetry
import WeightFiles

/// The finished pool that a run continues; the run copies it and never writes to it.
struct ContinuedPool {
    /// Its files.
    let files: AdapterPool
    /// How its router is trained; the run keeps query and seed, and has its own limit of rejection.
    let training: PoolRouterTraining

    /// Opens the pool of a recipe and checks all that needs no weights; nil for a recipe that continues none.
    ///
    /// Throws `WeightFileError` for a pool that is missing or damaged, and `RunError` of kind `configuration` for a recipe
    /// that does not fit it.
    init?(_ recipe: Recipe) throws {
        guard !recipe.continual.pool.isEmpty else { return nil }
        files = try AdapterPool(opening: recipe.continual.pool)
        let own = try PoolRouterTraining(of: files)
        guard !own.trainsTokens else { throw files.trainedTokensRefusal }
        training = PoolRouterTraining(query: own.query, seed: own.seed, rejectBeyond: recipe.continual.rejectBeyond)
        try files.check(model: recipe.model.kind, view: recipe.evaluation.view)
        if let query = recipe.continual.query.query, query != own.query {
            throw refusal(
                "has a router of the query \(own.query.rawValue), not \(query.rawValue)",
                "set continual.query=\(own.query.rawValue) or auto")
        }
        try checkDomains(recipe)
        try checkAdapters(recipe)
        try checkFolder(recipe)
        let model = ModelDescription(try LoadedModel.configuration(recipe.model.kind))
        _ = try files.memory(of: files.entries, width: try own.query.width(in: model))
    }

    private func refusal(_ problem: String, _ remedy: String) -> RunError {
        RunError(.configuration, "the pool \(files.path) \(problem)", remedy: remedy)
    }

    /// The domains of the pool.
    var domains: [String] { files.entries.map(\.domain) }

    /// A domain has one adapter. A source that is only scored may be of a domain of the pool.
    private func checkDomains(_ recipe: Recipe) throws(RunError) {
        let trained = recipe.data.all.filter { $0.settings.split != .evaluate }.map { $0.settings.domain ?? $0.name }
        guard let known = trained.first(where: domains.contains) else { return }
        throw refusal(
            "already has a domain \(known)",
            "name the new one otherwise (data.sources.NAME), or only score its images with data.sources.\(known).split=evaluate"
        )
    }

    /// All adapters of a pool are of one kind and size.
    private func checkAdapters(_ recipe: Recipe) throws {
        let model = ModelDescription(try LoadedModel.configuration(recipe.model.kind))
        let own = try Trainables(recipe.adaptationMethod.trainables, in: model, recipe.adapterOptions)
        func shapes(_ trainables: Trainables) -> [String] {
            trainables.layout.entries.map { "\($0.name) \($0.shape)" }.sorted()
        }
        for entry in files.entries {
            let file = try AdapterFile(opening: files.path(of: entry.file))
            let kinds = own.adapters.map(\.kind)
            guard file.kinds == kinds, try shapes(file.trainables(in: model)) == shapes(own) else {
                throw refusal(
                    "holds \(file.title) for \(entry.domain), which is not what method.name=\(recipe.method.name) "
                        + "trains with this recipe's settings of adapters (lora.rank, promptPool)",
                    "set method and adapters as the pool was trained")
            }
        }
    }

    /// The run replaces its own folder, which therefore must not hold the pool.
    private func checkFolder(_ recipe: Recipe) throws {
        let own = RunFolder(folder: recipe.run.folder, name: recipe.run.name).path
        do { try InputProtection.check(outputFolder: files.path, outside: own) } catch {
            throw refusal("lies in the folder of this run, \(own)", "choose another run.name")
        }
    }

    /// Throws `WeightFileError` for other base weights than the pool's.
    func check(_ loaded: LoadedModel) throws(WeightFileError) { try files.check(baseDigest: loaded.baseDigest) }

    /// What the run takes over, and what it changes, for people.
    var line: String {
        let before = files.routing.rejectBeyond
        let change =
            before == training.rejectBeyond
            ? "" : "; continual.rejectBeyond is \(training.rejectBeyond) from now on, \(before) before"
        return "continues \(files.path) with the domains \(domains.joined(separator: ", "))\(change)"
    }
}
