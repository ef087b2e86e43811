public import Adapters
public import Datasets
public import Routing
public import WeightFiles

/// The training of a pool's router from the queries that the pool keeps of its memory images.
///
/// The same queries in the same order give a file of the same bytes, whether a run or a command trains it.
public struct PoolRouterTraining: Sendable, Equatable {
    /// What the router reads of an image.
    public let query: RouterQuery
    /// Seed of its tokens, of its head and of the order of memory images.
    public let seed: UInt64
    /// Deviations beyond the memory images at which it rejects an image; 0 for never.
    public let rejectBeyond: Double

    /// Whether its tokens are trained over images; else they stay as they were drawn.
    public let trainsTokens: Bool

    /// Joins the settings.
    public init(query: RouterQuery, seed: UInt64, rejectBeyond: Double, trainsTokens: Bool = false) {
        (self.query, self.seed, self.rejectBeyond) = (query, seed, rejectBeyond)
        self.trainsTokens = trainsTokens
    }

    /// The settings that a pool states. Throws `WeightFileError` for a query of another version.
    public init(of pool: AdapterPool) throws(WeightFileError) {
        guard let query = RouterQuery(rawValue: pool.routing.query) else {
            throw WeightFileError(
                .pool, path: pool.path, found: "a router of the query \(pool.routing.query)",
                remedy: "use the version of Kedge that wrote the pool")
        }
        self.init(
            query: query, seed: pool.routing.seed, rejectBeyond: pool.routing.rejectBeyond,
            trainsTokens: pool.routing.trainsTokens ?? false)
    }

    /// The settings as a pool states them.
    public var record: AdapterPool.Routing {
        .init(query: query.rawValue, seed: seed, rejectBeyond: rejectBeyond, trainsTokens: trainsTokens ? true : nil)
    }

    /// The tokens of a query that needs some, as drawn: the same at all stages; nil for any other.
    ///
    /// - Parameter width: Numbers D of the query.
    public func tokens(width: Int) -> RouterTokens? {
        query == .tokens ? RouterTokens(width: width, seed: seed) : nil
    }

    /// The settings of the training over some memory images: those of the query, with batches no larger than all images.
    public func settings(images: Int) -> RouterTraining {
        var settings = RouterTraining.standard(for: query, seed: seed)
        settings.batch = max(1, min(settings.batch, images))
        return settings
    }

    /// A router over domains, and why it rejects no image although it should: too few memory images. Every rank trains
    /// the same one.
    ///
    /// - Parameters:
    ///   - memory: The queries of each domain's memory images. // T x n x [D]
    ///   - trained: Tokens that give these queries, and their head, if they were trained together.
    ///
    /// Throws `RoutingError` for memory images from which nothing can be told.
    public func router(
        over memory: [[[Float]]], of domains: [String], trained: (tokens: RouterTokens, head: RouterHead)? = nil
    ) throws(RoutingError) -> (router: DomainRouter, withoutRejection: RoutingError?) {
        let images = RouterMemory(
            features: memory.flatMap(\.self),
            labels: memory.enumerated().flatMap { domain, features in features.map { _ in domain } })
        func router(rejectingBeyond deviations: Double?) throws(RoutingError) -> DomainRouter {
            if let trained {
                return try DomainRouter(
                    trained.tokens, trained.head, calibratedOn: images, domains: domains, rejectingBeyond: deviations)
            }
            return try DomainRouter(
                query, tokens: tokens(width: images.features.first?.count ?? 1), trainedOn: images, domains: domains,
                settings(images: images.features.count), rejectingBeyond: deviations)
        }
        guard rejectBeyond > 0 else { return (try router(rejectingBeyond: nil), nil) }
        do throws(RoutingError) { return (try router(rejectingBeyond: rejectBeyond), nil) } catch {
            guard error.kind == .memory else { throw error }
            return (try router(rejectingBeyond: nil), error)
        }
    }
}

extension AdapterPool {
    /// Removes some domains, whose files may be missing or damaged, and trains the router again over the others; with no
    /// domain it trains the router alone. All or nothing, also when it is killed.
    ///
    /// Returns why the new router rejects no image although it should, if that is so. Throws `WeightFileError` for a name
    /// that no domain has, if no domain is left, for another file that is not whole and for a router with trained tokens, and
    /// `RoutingError`.
    @discardableResult
    public mutating func removeAndTrainRouter(without domains: [String]) throws -> RoutingError? {
        let kept = try entries(without: domains)
        guard let first = kept.first else {
            throw WeightFileError(
                .pool, path: path, found: "no domain would be left",
                remedy: "keep one of \(entries.map(\.domain).joined(separator: ", ")), or delete the folder")
        }
        for file in kept.flatMap({ [$0.file, $0.memory] }) {
            if let damage = damage(of: file) { throw damage }
        }
        let training = try PoolRouterTraining(of: self)
        guard !training.trainsTokens else { throw trainedTokensRefusal }
        let (router, withoutRejection) = try training.router(over: try memory(of: kept), of: kept.map(\.domain))
        let description = try routerDescription(first, kept)
        try remove(domains) { path throws(WeightFileError) in
            try DomainRouterFile.write(router, description, to: path)
        }
        return withoutRejection
    }

    /// Why a router is not trained again from what the pool keeps.
    public var trainedTokensRefusal: WeightFileError {
        WeightFileError(
            .pool, path: path,
            found:
                "a router whose tokens were trained over images, which a pool does not keep, so it cannot be trained again",
            remedy: "run kedge adapt over all domains that are wanted, or with continual.trainTokens=false")
    }

    /// Writes a router of all domains into the pool, in place of an earlier one. Throws `WeightFileError`.
    ///
    /// - Parameter permission: Asked right before each file appears.
    public mutating func write(
        _ router: DomainRouter, trainedBy training: PoolRouterTraining,
        ifAllowed permission: () throws(WeightFileError) -> Void = {}
    ) throws(WeightFileError) {
        guard let first = entries.first else { preconditionFailure("a router of no domain") }
        let description = try routerDescription(first, entries)
        try setRouter(trainedBy: training.record, ifAllowed: permission) { path throws(WeightFileError) in
            try DomainRouterFile.write(router, description, to: path, ifAllowed: permission)
        }
    }

    /// The origin of a router, from the adapter files of its domains.
    private func routerDescription(
        _ first: Entry, _ entries: [Entry]
    ) throws(WeightFileError) -> DomainRouterFile.Description {
        let own = try AdapterFile(opening: path(of: first.file)).description
        return DomainRouterFile.Description(
            model: model, imageSize: own.imageSize, baseDigest: baseDigest, preprocessing: own.preprocessing,
            intensity: try intensityRecord(of: entries)?.text)
    }

    /// How images became 8 bits in the trainings of the pool's domains, each reading once; nil if a file states none.
    ///
    /// Throws `WeightFileError` for an adapter file that cannot be opened.
    public func intensityRecord(of entries: [Entry]? = nil) throws(WeightFileError) -> IntensityRecord? {
        var readings: [IntensityRecord.Entry] = []
        for entry in entries ?? self.entries {
            let text = try AdapterFile(opening: path(of: entry.file)).description.intensity
            guard let record = text.flatMap({ IntensityRecord(text: $0) }) else { return nil }
            readings += record.entries.filter { !readings.contains($0) }
        }
        return readings.isEmpty ? nil : IntensityRecord(readings)
    }
}
