import Adapters
import Collectives
import Datasets
import Evaluation
import Imaging
import Interaction
import Kernels
import ModelLoading
import Recipes
import Routing
import Runs
import SegmentAnything
import Telemetry
import WeightFiles

/// How `kedge segment` reads images: as those that its adapter or pool was trained on.
struct ImageReading {
    private let reading: AdapterIntensity?
    private let intensity: Intensity
    private let isAsked: Bool
    private let exif: ImageFile.ExifOrientation

    /// Opens the record of an adapter or a pool, and says where it is not followed. Throws `WeightFileError`.
    init(
        adapter: String?, pool: AdapterPool?, asked: Intensity.Rule?, exif: ImageFile.ExifOrientation
    ) throws {
        reading =
            try adapter.map { AdapterIntensity(try AdapterFile(opening: $0), path: $0) }
            ?? pool.map { (pool) throws(WeightFileError) in try AdapterIntensity(pool) }
        let (chosen, notices) = reading?.intensity(asked: asked) ?? (Intensity(asked ?? .auto), [])
        for line in notices { Failure.notice(line) }
        (intensity, isAsked, self.exif) = (chosen, asked != nil, exif)
    }

    /// Reads an image; says how, if it has more than 8 bits, and of an orientation that is not applied.
    func image(_ path: String) throws -> Image {
        let decoded = try ImageFile.decode(path: path, exif: exif, intensity: intensity)
        if let stored = decoded.stored {
            let isCut = stored.bits > 8 && stored.spread == nil && stored.values.low < stored.values.high
            Failure.notice(
                "\(isCut ? "warning: " : "")\(path): \(stored.description)"
                    + (isCut ? ", \(stored.levels) levels left; --intensity auto would scale them" : ""))
            if !isAsked,
                let line = reading?.noticeWithoutRecord(
                    deepImages: stored.bits > 8 ? 1 : 0, key: "--intensity full")
            {
                Failure.notice(line)
            }
        }
        noticeOrientation(path)
        return decoded.rgb()
    }

    /// Tells of an orientation that is not applied: coordinates then are those of the stored image, not of a viewer's.
    private func noticeOrientation(_ path: String) {
        guard exif == .ignore, let orientation = (try? ImageHead(path: path))?.orientation else { return }
        Failure.notice(
            "\(path) states \(orientation.name) (Exif orientation \(orientation.rawValue)), which is not applied: prompts "
                + "and masks are those of the stored image; --exif apply turns it upright")
    }
}

/// The model of `kedge segment`: one for all images, or a pool.
struct Segmenting {
    /// The masks of an image, and where a router sent it.
    struct Result<Mask> {
        let masks: [Mask]
        /// Nil without a pool.
        let route: AutomaticMaskRecord.Route?
    }

    private let command: SegmentCommand
    private let loaded: LoadedModel
    private let subject: EvaluatedModel
    private let view: EvaluationView
    private let workspace: Workspace

    /// Loads weights, and adapter or pool. Throws their errors, and `RunError` where memory does not suffice.
    init(
        _ command: SegmentCommand, _ files: AdapterPool?, _ kind: BaseModel, workspace: Workspace, threads: Int,
        _ communicator: any Communicator
    ) throws {
        (self.command, self.workspace) = (command, workspace)
        if let files {
            let opened = try OpenedPool(
                files, weights: command.weights, preprocessing: command.preprocessing, threads: threads, communicator)
            (loaded, subject, view) = (opened.loaded, .pool(opened.pool), opened.view)
            try checkRequest(command)
            return
        }
        loaded = try LoadedModel(
            alone: kind, weights: command.weights, preprocessing: command.preprocessing,
            adaptedDigest: try command.adapter.map { try AdapterFile(opening: $0).description.baseDigest },
            threads: threads, communicator)
        let adapted = try command.adapter.map { [loaded] in try loaded.adapted(opening: $0) }
        (subject, view) = (.one(adapted ?? loaded.base), .fit)
        try checkRequest(command)
    }

    /// Refuses what the model has no answer to. Throws `RunError`.
    private func checkRequest(_ command: SegmentCommand) throws {
        try subject.checkTable(of: command.task.id)
        if command.multimask { try subject.checkCandidates("--multimask") }
        if command.automatic.automatic, subject.hasAnswerOfAdapter {
            Failure.notice("--automatic finds SAM's own masks; HQ-SAM's decoder answers boxes, points and masks alone")
        }
    }

    /// One mask per object.
    func masks(
        of image: Image, _ objects: [ImageSegmenter.ObjectPrompt]
    ) throws -> Result<ImageSegmenter.Mask> {
        let segmenter = ImageSegmenter(loaded, subject, seen: view, workspace: workspace)
        let (masks, decision) = try segmenter.segment(
            image, objects, multimask: command.multimask, task: command.task.id)
        return Result(masks: masks, route: decision.flatMap(route))
    }

    /// The masks found without prompts.
    func masks(of image: Image) throws -> Result<AutomaticMask> {
        var (adapted, decision): (AdaptedModel, RoutingDecision?)
        switch subject {
        case .one(let model): (adapted, decision) = (model, nil)
        case .pool(let pool):
            let made = try pool.route(image, seen: view, by: loaded.preprocessing, in: workspace)
            (adapted, decision) = (pool.model(for: made), made)
        }
        var settings = command.automatic.configuration
        settings.task = command.task.id
        let segmenter = try AutomaticSegmenter(
            loaded, adapted: adapted, settings: settings, seen: view, workspace: workspace)
        return Result(masks: try segmenter.masks(of: image), route: decision.flatMap(route))
    }

    private func route(_ decision: RoutingDecision) -> AutomaticMaskRecord.Route? {
        guard case .pool(let pool) = subject else { return nil }
        return AutomaticMaskRecord.Route(decision, by: pool.router)
    }
}

extension LoadedModel {
    /// Loads a model on a rank that computes alone, if there is memory for it and a pass.
    ///
    /// Throws `WeightFileError` and `RunError`.
    ///
    /// - Parameter adaptedDigest: The digest of the base weights in an adapter or pool, whose form of encoder is taken.
    init(
        alone kind: BaseModel, weights: String, preprocessing: String, adaptedDigest: String? = nil, threads: Int,
        _ communicator: any Communicator
    ) throws {
        let resolved = try ResolvedRecipe(
            settings: ["model.kind=\(kind.name)", "model.preprocessing=\(preprocessing)", "data.root=."])
        var base = resolved.recipe.model
        base.weights = weights
        base.allGlobalEncoder = adaptedDigest.map(LoadedModel.isAllGlobal) ?? false
        try MemoryCheck.checkWeights(base, communicator)
        try self.init(base)
        let check = MemoryCheck(
            recipe: resolved.recipe, configuration: model.configuration, threads: threads, mostInstances: 1,
            method: try MemoryCheck.evaluation())
        try MemoryCheck.check(try check.plan(worldSize: 1), host: communicator.hostName)
    }
}
