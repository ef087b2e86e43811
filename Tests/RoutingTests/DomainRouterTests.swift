import Foundation
import Kernels
import Layers
import Routing
import SegmentAnything
import Tensors
import Testing
import TestSupport
import WeightFiles

@Suite struct DomainRouterTests {
    private let model = ModelDescription(.smallTinyViT)
    private let digest = "0123456789abcdef0123456789abcdef"
    private var description: DomainRouterFile.Description {
        .init(model: "mobilesam", imageSize: 64, baseDigest: digest, preprocessing: "sam", intensity: "minmax")
    }
    private let names = ["steel", "a domain, \"quoted\"", "Größe\n2"]

    private func memory(_ width: Int) -> RouterMemory {
        RouterMemory(
            features: (0..<3).flatMap { TestQueries.domain($0, count: 6, width: width) },
            labels: (0..<3).flatMap { Array(repeating: $0, count: 6) })
    }

    private func router(
        _ query: RouterQuery = .statistics, in model: ModelDescription? = nil, rejects: Bool = true
    ) throws -> DomainRouter {
        let width = try query.width(in: model ?? self.model)
        return try DomainRouter(
            query, tokens: query == .tokens ? RouterTokens(width: width, seed: 3) : nil, trainedOn: memory(width),
            domains: names, .standard(for: query, seed: 1),
            rejectingBeyond: rejects ? RejectionRule.standardDeviations : nil)
    }

    @Test func routesKnownImagesAndRejectsOthers() throws {
        let router = try router()
        #expect(router.width == 2 * (24 + 40) && router.domains == names)
        for domain in 0..<3 {
            for image in TestQueries.domain(domain, count: 6, width: router.width) {
                let decision = router.route(image)
                #expect(decision.best == domain && decision.domain == domain && decision.score > 1 / 3)
                #expect(decision.strangeness.map { $0 > 0 } == true)
            }
        }
        let unseen = TestQueries.domain(8, count: 1, width: router.width)[0]
        let decision = router.route(unseen)
        #expect(decision.domain == nil && (0..<3).contains(decision.best))
        let without = try self.router(rejects: false)
        #expect(without.route(unseen).domain == decision.best && without.route(unseen).strangeness == nil)
    }

    /// Domains whose logits are equal in Float or saturate the softmax: the smaller index wins.
    @Test func tiesGoToTheEarlierDomain() {
        let router = DomainRouter(
            .embedding, tokens: nil, standardisation: nil,
            head: RouterHead(weight: Tensor([1, 0, 2, 0, 2, 0], [3, 2]), bias: Tensor([0, 0, 0], [3])),
            rejection: nil, domains: names)
        #expect(router.route([1, 0]).domain == 1)
        #expect(router.route([0, 5]).domain == 0)
        #expect(router.route([1000, 0]).domain == 1 && router.route([1000, 0]).score == 0.5)
    }

    @Test(arguments: RouterQuery.allCases) func filesGiveTheSameBits(_ query: RouterQuery) throws {
        let folder = try TemporaryFolder("router")
        let model = query == .tokens ? ModelDescription(.tiny) : self.model
        for rejects in [true, false] {
            let router = try router(query, in: model, rejects: rejects)
            let path = folder.path + "/router.safetensors"
            let written = try DomainRouterFile.write(router, description, to: path)
            #expect(written == (try FileDigest.sha256(of: path)))
            let file = try DomainRouterFile(opening: path)
            #expect(file.description == description && file.query == query && file.domains == names)
            let read = try file.router(in: model, baseDigest: digest)
            #expect(read.head == router.head && read.standardisation == router.standardisation)
            #expect(read.rejection == router.rejection && (read.rejection != nil) == rejects)
            #expect(read.tokens?.values.elements == router.tokens?.values.elements && read.domains == names)
            let again = folder.path + "/again.safetensors"
            #expect(try DomainRouterFile.write(read, description, to: again) == written)
            for image in [memory(router.width).features[7], TestQueries.domain(9, count: 1, width: router.width)[0]] {
                #expect(read.route(image) == router.route(image))
            }
        }
    }

    /// Tokens read the image in a pass of their own, other queries the features of the segmentation's pass.
    @Test(arguments: [RouterQuery.tokens, .statistics]) func queryOfAnImage(_ query: RouterQuery) throws {
        let (workspace, whole) = (Workspace(threads: 2), SegmentAnythingModel(.tiny, NamedWeights()))
        let context = PassContext(workspace)
        let stem = whole.encoder.stem(TestValues.uniform([128, 128, 3], "image"), in: context)
        let router = try router(query, in: ModelDescription(.tiny))
        let request = router.request(beside: EncoderRequest(taps: [.output(of: 3)]), in: whole.configuration)
        let tap = whole.configuration.earlyTap
        #expect(request.taps == (query == .tokens ? [.output(of: 3)] : [tap, .output(of: 3)]))
        let features = whole.encoder.encode(stem, request, in: context)
        let feature = try router.feature(of: stem, features, in: whole, workspace)
        #expect(feature.count == router.width && feature.allSatisfy(\.isFinite))
        if let tokens = router.tokens {
            #expect(feature == (try tokens.feature(of: stem, in: whole.encoder, workspace)))
        }
    }

    // MARK: Files at fault

    /// The error of opening a file or of using it, which is one line.
    private func fault(_ path: String, _ model: ModelDescription? = nil, digest: String? = nil) -> WeightFileError? {
        let error = #expect(throws: WeightFileError.self) {
            _ = try DomainRouterFile(opening: path).router(in: model ?? self.model, baseDigest: digest ?? self.digest)
        }
        #expect(error?.description.contains("\n") == false)
        return error
    }

    @Test func damagedForeignAndIncompleteFiles() throws {
        let folder = try TemporaryFolder("router")
        let path = folder.path + "/router.safetensors"
        try DomainRouterFile.write(router(), description, to: path)
        let foreign = fault(path, digest: "fedcba9876543210")
        #expect(foreign?.rule == .contract)
        #expect(foreign?.description.contains("a router of base weights 0123456789ab, not fedcba987654") == true)
        #expect(fault(path, ModelDescription(.mobileSAM))?.rule == .contract)

        let whole = try Data(contentsOf: URL(fileURLWithPath: path))
        let cut = folder.path + "/cut.safetensors"
        try whole.prefix(whole.count - 5).write(to: URL(fileURLWithPath: cut))
        #expect(fault(cut)?.rule == .tiling)
        #expect(fault(folder.path + "/none.safetensors")?.rule == .fileUnreadable)

        let table = try SafetensorsFile.read(path)
        func changed(
            _ metadata: [String: String]? = nil, dropping dropped: String = "",
            _ change: (String, Tensor) -> Tensor = { $1 }
        ) throws -> String {
            let other = folder.path + "/changed.safetensors"
            let tensors = try table.names.filter { $0 != dropped }.map {
                TensorToWrite($0, change($0, try table.tensor($0)))
            }
            try SafetensorsFile.write(tensors, metadata: metadata ?? table.metadata, to: other)
            return other
        }
        for key in ["kedge_router", "query", "domains", "base_digest", "domain.1"] {
            var metadata = table.metadata
            metadata[key] = nil
            #expect(fault(try changed(metadata))?.rule == .dialect, "without \(key)")
        }
        for (key, value) in [("domains", "0"), ("domains", "-1"), ("query", "colours"), ("kedge_router", "2")] {
            var metadata = table.metadata
            metadata[key] = value
            #expect(fault(try changed(metadata))?.rule == .dialect, "\(key) \(value)")
        }
        for name in table.names {
            let error = fault(try changed(dropping: name))
            #expect(error?.rule == .contract && error?.found.contains("missing: \(name)") == true, "\(name)")
            let short = fault(try changed { $0 == name ? Tensor(Array($1.elements.dropLast()), [$1.count - 1]) : $1 })
            #expect(short?.rule == .contract, "short \(name)")
            let endless = fault(try changed { $0 == name ? Tensor(repeating: .nan, $1.shape) : $1 })
            #expect(endless?.found.contains("not finite: \(name)") == true, "\(name)")
        }
        for name in ["rejection.variance", "rejection.standardisation.deviation", "standardisation.deviation"] {
            let negative = fault(try changed { $0 == name ? Tensor(repeating: -1, $1.shape) : $1 })
            #expect(negative?.found.contains("not positive") == true, "\(name)")
        }
    }

    /// A router of tokens says which query a model without a plain ViT can compute.
    @Test func tokensInAnotherModel() throws {
        let folder = try TemporaryFolder("router")
        let path = folder.path + "/router.safetensors"
        try DomainRouterFile.write(router(.tokens, in: ModelDescription(.tiny)), description, to: path)
        let error = fault(path)
        #expect(error?.rule == .contract && error?.description.contains("use the query statistics") == true)
    }

    @Test func aFullDiskKeepsTheEarlierFile() throws {
        let folder = try TemporaryFolder("router")
        let path = folder.path + "/router.safetensors"
        let digest = try DomainRouterFile.write(router(), description, to: path)
        #expect(throws: WeightFileError.self) {
            try DomainRouterFile.write(router(.embedding), description, to: path) { () throws(WeightFileError) in
                throw WeightFileError(.spaceLeft, path: path, found: "no space", remedy: "free some")
            }
        }
        #expect(try FileDigest.sha256(of: path) == digest)
    }
}
