import AdaptationMethods
import Adapters
import Collectives
import Datasets
import Evaluation
import Foundation
import Imaging
import Kernels
import Layers
import ModelLoading
import Recipes
import Routing
import SegmentAnything
import Telemetry
import Tensors
import Training
import WeightFiles

/// The pool of a run: the adapted models of its finished stages, what the router knows of their domains, and their files.
///
/// Every rank holds the whole; rank 0 writes.
struct RunPool {
    let context: RunContext
    private var files: AdapterPool
    private var members: [AdaptedModel] = []
    /// The queries of each domain's memory images, in the order of their names. // n x [D] each
    private var memory: [[[Float]]] = []
    /// The memory images of each domain of this run, by their places in the data. // n each
    private(set) var places: [[Int]] = []
    /// Query, seed and limit of the router: those of a continued pool, so that its queries stay comparable.
    let training: PoolRouterTraining
    /// The domains of the pool that the run continues; none without one.
    private let inherited: [AdapterPool.Entry]

    /// The pool of a run after some steps, read from the run's folder; where it continues another, a copy of that one to
    /// begin with.
    ///
    /// Entries of later stages, which a killed run wrote before its checkpoint, are left out and will be written again. A
    /// stage that ends with the last of the steps may still have to join. Collective.
    /// Throws `RoutingError` for a query that the model cannot compute, `WeightFileError` for a pool that is damaged or not
    /// this run's.
    init(_ context: RunContext, continuing continued: ContinuedPool?, steps: Int, stageEnds: [Int]) throws {
        self.context = context
        let (recipe, loaded) = (context.assembly.recipe, context.loaded)
        training =
            continued?.training
            ?? PoolRouterTraining(
                query: recipe.continual.query.query ?? .standard(for: loaded.model.configuration),
                seed: recipe.training.generatorSeed, rejectBeyond: recipe.continual.rejectBeyond,
                trainsTokens: recipe.continual.trainTokens)
        inherited = continued?.files.entries ?? []
        let width = try training.query.width(in: ModelDescription(loaded.model.configuration))
        let path = context.folder.path + "/pool"
        files = AdapterPool(
            path, model: recipe.model.kind.rawValue, baseDigest: loaded.baseDigest,
            view: recipe.evaluation.view.rawValue, routing: training.record)
        let ended = stageEnds.count { $0 <= steps }
        let certain = stageEnds.contains(steps) ? ended - 1 : ended
        let isWritten = FileManager.default.fileExists(atPath: path + "/" + AdapterPool.manifestName)
        if let continued {
            let isRoot = context.assembly.communicator.isRoot
            if isRoot { context.log.message(.info, continued.line) }
            if isRoot, certain == 0, !isWritten {
                _ = try continued.files.copied(to: path, ifAllowed: context.folder.permit)
            }
            try context.assembly.communicator.barrier()
        }
        guard certain > 0 || isWritten || continued != nil else { return }
        files = try AdapterPool(opening: path)
        files.keepFirst(inherited.count + ended)
        let stages = context.stages.prefix(max(certain, files.entries.count - inherited.count)).map(\.name)
        let domains = inherited.map(\.domain) + stages
        guard files.baseDigest == loaded.baseDigest, files.view == recipe.evaluation.view.rawValue,
            Array(files.entries.prefix(inherited.count)) == inherited, files.entries.map(\.domain) == domains
        else {
            throw WeightFileError(
                .pool, path: path,
                found: "not the domains \(domains.joined(separator: ", ")) over these weights, with evaluation.view="
                    + recipe.evaluation.view.rawValue + (inherited.isEmpty ? "" : ", and the files of continual.pool"),
                remedy: "put the pool of this run back, or replace the run with --overwrite")
        }
        members = try files.entries.map { try loaded.adapted(opening: files.path(of: $0.file)) }
        memory = try files.memory(of: files.entries, width: width)
        places = zip(context.stages, files.entries.dropFirst(inherited.count)).map { stage, entry in
            places(of: stage).filter { entry.memoryImages.contains(context.data.training.id($0)) }
        }
    }

    /// Stages that have joined.
    var stages: Int { members.count - inherited.count }

    /// Adds the model of a stage that has ended, and what the router must know of its images. Collective.
    ///
    /// - Parameters:
    ///   - step: Steps of the run so far.
    ///   - steps: Those of the stage.
    mutating func add(_ adapted: AdaptedModel, stage: Stage, step: Int, steps: Int) throws {
        let (assembly, loaded, data) = (context.assembly, context.loaded, context.data)
        let queries = try queries(of: stage)
        members.append(adapted)
        memory.append(queries.features)
        places.append(queries.places)
        guard assembly.communicator.isRoot else { return }
        try FileManager.default.createDirectory(atPath: files.path, withIntermediateDirectories: true)
        try files.append(
            .init(
                stage.name, steps: steps,
                images: data.training.pools(of: stage.domains).reduce(0) { $0 + $1.images.count },
                memory: queries.features, memoryImages: queries.places.map(data.training.id)),
            adapted, assembly.recipe.adapterOptions,
            loaded.description(
                recipeDigest: assembly.recipe.digest, step: step, intensity: data.intensityRecord.text),
            ifAllowed: context.folder.permit)
    }

    /// The pool with a router over the domains so far, whose file rank 0 writes. Every rank trains the same one.
    ///
    /// Throws `RoutingError` for memory images from which nothing can be told, and `WeightFileError`.
    mutating func evaluated() throws -> AdaptedPool {
        let domains = inherited.map(\.domain) + context.stages.prefix(stages).map(\.name)
        let trained = try trainedTokens()
        let (router, withoutRejection) = try training.router(
            over: trained?.memory ?? memory, of: domains, trained: trained.map { ($0.tokens, $0.head) })
        if context.assembly.communicator.isRoot {
            if let withoutRejection {
                context.log.warning("no image is sent to the model without adapter: \(withoutRejection)")
            }
            try files.write(router, trainedBy: training, ifAllowed: context.folder.permit)
        }
        return AdaptedPool(base: context.loaded.base, members: members, router: router)
    }

    /// The places of a stage's memory images in the data.
    private func places(of stage: Stage) -> [Int] {
        let recipe = context.assembly.recipe
        return stage.domains.flatMap {
            context.data.training.memory(of: $0, size: recipe.continual.memory, seed: recipe.training.generatorSeed)
        }
    }

    /// The queries of a stage's memory images and their places. Collective: ranks share the images.
    ///
    /// An image that cannot be read is left out on all ranks.
    private func queries(of stage: Stage) throws -> (features: [[Float]], places: [Int]) {
        let (data, places) = (context.data, places(of: stage))
        let width = try training.query.width(in: ModelDescription(context.loaded.model.configuration))
        let rows = try features(of: places, tokens: training.tokens(width: width), width: width)
        let readable = rows.indices.filter { !rows[$0].contains { $0.isNaN } }
        let missing = rows.indices.filter { !readable.contains($0) }.map { data.training.id(places[$0]) }
        if !missing.isEmpty, context.assembly.communicator.isRoot {
            context.log.warning(
                "the router learns \(stage.name) without \(missing.count) of its \(places.count) memory images, which "
                    + "cannot be read: \(missing.joined(separator: ", "))")
        }
        return (readable.map { rows[$0] }, readable.map { places[$0] })
    }

    /// The queries of images by their places; not a number for one that cannot be read. Collective. // n x [D]
    func features(of places: [Int], tokens: RouterTokens?, width: Int) throws -> [[Float]] {
        let communicator = context.assembly.communicator
        let own = ShardedSampler.share(
            rank: communicator.rank, worldSize: communicator.worldSize, batchSize: places.count)
        communicator.activity.work(at: "reading memory images")
        let mine = try own.flatMap { place -> [Float] in
            do { return try feature(of: stem(of: places[place]), tokens: tokens) } catch let error as DatasetError
                where error.concernsOneImage
            { return [Float](repeating: .nan, count: width) }
        }
        communicator.activity.work(at: "computing")
        let all = try communicator.allGather(floats: mine).flatMap(\.self)
        return places.indices.map { Array(all[$0 * width..<($0 + 1) * width]) }
    }

    /// The stem of an image as evaluation would see it.
    func stem(of place: Int) throws -> EncoderStem {
        let loaded = context.loaded
        let input = context.assembly.recipe.evaluation.view.input(
            of: try context.data.training.image(place), loaded.preprocessing)
        return loaded.model.encoder.stem(input, in: PassContext(context.assembly.workspace))
    }

    /// The query of an image. // [D]
    private func feature(of stem: EncoderStem, tokens: RouterTokens?) throws -> [Float] {
        let (loaded, workspace) = (context.loaded, context.assembly.workspace)
        if let tokens { return try tokens.feature(of: stem, in: loaded.model.encoder, workspace) }
        guard let pooled = PooledFeatureQuery(training.query, in: loaded.model.configuration) else {
            preconditionFailure("a query \(training.query.rawValue) without tokens")
        }
        let plain = PassContext(workspace)
        return pooled.feature(of: loaded.model.encoder.encode(stem, pooled.request(), in: plain))
    }
}
