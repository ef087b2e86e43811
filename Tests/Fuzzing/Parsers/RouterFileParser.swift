import Routing
import SegmentAnything
import WeightFiles

extension FuzzedParser {
    private static let routerModel = ModelDescription(.tiny)

    static let router = FuzzedParser(
        "router",
        words: safetensorsWords + [
            "\"kedge_router\":\"1\"", "\"query\":\"tokens\"", "\"query\":\"statistics\"", "\"domains\":\"2\"",
            "\"domains\":\"-1\"", "\"domain.1\":\"b\"", "\"rejection.", "\"standardisation.",
        ],
        written: {
            let file = Scratch.path + "router"
            let description = DomainRouterFile.Description(
                model: "tiny", imageSize: 128, baseDigest: "ab12", preprocessing: "sam")
            return try RouterQuery.allCases.map { query in
                let width = try query.width(in: routerModel)
                let memory = RouterMemory(
                    features: (0..<6).map { image in (0..<width).map { Float(image * image + $0 % (image + 2)) } },
                    labels: [0, 0, 0, 1, 1, 1])
                let router = try DomainRouter(
                    query, tokens: query == .tokens ? RouterTokens(width: width, seed: 1) : nil, trainedOn: memory,
                    domains: ["a", "b"], .published(), rejectingBeyond: RejectionRule.standardDeviations)
                try DomainRouterFile.write(router, description, to: file)
                return try Scratch.read(file)
            }
        }, change: SafetensorsParts.change
    ) { bytes in
        let file = Scratch.path + "router"
        try Scratch.write(bytes, to: file)
        guard let opened = try attempt(WeightFileError.self, { try DomainRouterFile(opening: file) }) else {
            return false
        }
        let digest = opened.description.baseDigest
        guard
            let router = try attempt(
                WeightFileError.self, { try opened.router(in: routerModel, baseDigest: digest) })
        else { return false }
        let decision = router.route([Float](repeating: 1, count: router.width))
        try require((0..<router.domains.count).contains(decision.best), "domain \(decision.best)")
        return true
    }
}
