import AdaptationMethods
import Adapters
import Benchmarking
import Foundation
import Kernels
import Layers
import Machine
import Planning
import SegmentAnything
import Tensors
import Testing
import WeightFiles

/// Counts that can be made by hand, and that a benchmark reports what it ran.
@Suite struct BenchmarkTests {
    @Test func encoderCostsAreTheKnownOnes() {
        // The official code does 0.97 TFLOP, of which 0.03 are projections of padding and 0.005 position terms; backward
        // lacks the patch embedding and has 5 products for 2 in attention.
        let vitB = EncoderCost(.viT(.vitB))
        let padding: Double = 8 * 2 * (4900 - 4096) * 4 * 768 * 768
        let official: Double = vitB.forward + padding + 5e9
        #expect(abs(official - 0.97e12) < 5e9)
        let attention = 2 * Double(ImageEncoderViTConfiguration.vitB.attentionMultiplyAdds)
        let patches = 2.0 * 4096 * 768 * 768
        #expect(abs(vitB.backward - (vitB.forward - patches + 1.5 * attention)) < 1e6)
        let mobile = EncoderCost(.tinyViT(.mobileSAM))
        #expect(abs(mobile.forward - 2 * 37.06e9) < 0.02e9)
        #expect(mobile.backward < mobile.forward, "stage 0 of TinyViT has no backward")
    }

    @Test(arguments: BenchmarkSubject.allCases) func subjectsRunAndAreTimed(subject: BenchmarkSubject) throws {
        BLASEnvironment.useSingleThread()
        let adapted = AdaptedModel(
            .tiny, ConstantSource(), try Trainables(.lowRankPairs, in: ModelDescription(.tiny)))
        let workspace = Workspace(threads: 2)
        let benchmark = ModelBenchmark(
            adapted: adapted,
            example: try ModelBenchmark.example(adapted.model, instances: 3, needs: ExampleNeeds()),
            request: StepRequest(.tiny, WeSAM()),
            allGlobal: SegmentAnythingConfiguration.tiny.allGlobal.map { SegmentAnythingModel($0, ConstantSource()) },
            workspace: workspace)
        let (ceiling, figures) = try Benchmark(workspace: workspace, rounds: 2).run(try benchmark.pieces(subject))
        #expect(ceiling > 1e8 && !figures.isEmpty)
        for figure in figures {
            #expect(figure.fastest > 0 && figure.fastest <= figure.seconds && figure.seconds <= figure.slowest)
            #expect(figure.share.map { $0 > 0 } ?? true, "\(figure)")
        }
        let report = Benchmark.Report(
            subject: subject.rawValue, model: "tiny", threads: 2, openBLASCore: "x", ceilingGigaflops: ceiling * 1e-9,
            rounds: 2, peakBytes: 1 << 20, figures: figures)
        #expect(figures.allSatisfy { report.text.contains($0.name) })
        // A routed segmentation contains what its router does alone, and the tokens' pass is one over all blocks.
        let compared = figures.filter { $0.reference != nil }
        #expect(compared.count == (subject == .router ? 3 : 0) && compared.allSatisfy { ($0.ratio ?? 0) > 0 })
        for figure in compared { #expect(report.text.contains("\(figure.name): "), "\(figure)") }
    }

    /// A case written by another program is run on its inputs, and the results hold the step's losses and gradients.
    @Test func aCaseGivesLossesAndGradients() throws {
        BLASEnvironment.useSingleThread()
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("kedge-case-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let trainables = try Trainables(
            .lowRankPairs, in: ModelDescription(.tiny), AdapterOptions(rank: 2, seed: 4))
        let (adapted, layout) = (AdaptedModel(.tiny, ConstantSource(), trainables), trainables.layout)
        let values = try #require(adapted.trained)
        let example = try ModelBenchmark.example(adapted.model, instances: 2, needs: ExampleNeeds())
        let boxes = try #require(example.prompts.boxes)
        func write(_ strong: Tensor) throws -> String {
            let path = folder.appendingPathComponent("case.safetensors").path
            let views = [
                TensorToWrite("weak", example.weak), TensorToWrite("strong", strong), TensorToWrite("boxes", boxes),
            ]
            try SafetensorsFile.write(
                views + layout.entries.map { TensorToWrite($0.name, values.value($0.slot)) }, to: path)
            return path
        }
        let results = folder.appendingPathComponent("results.safetensors").path
        let workspace = Workspace(threads: 1)
        func open(_ path: String) throws -> StepCase {
            try StepCase(opening: path, configuration: .tiny, weights: ConstantSource(), method: WeSAM())
        }
        let given = try open(write(example.strong))
        #expect(given.options.rank == 2 && given.adapted.trained?.values.elements == values.values.elements)
        try given.write(to: results, StepRequest(.tiny, WeSAM()), in: workspace)
        var context = StepContext(adapted, in: workspace)
        let losses = try WeSAM().step(example, in: &context)
        let table = try SafetensorsFile.read(results)
        for part in losses.parts { #expect(try table.tensor("loss.\(part.name)").elements == [Float(part.value)]) }
        let written = try layout.entries.flatMap { try table.tensor("gradient.\($0.name)").elements }
        #expect(written == context.gradients.values.elements)
        #expect(throws: WeightFileError.self) {
            _ = try open(write(Tensor(zeros: [8, 8, 3])))
        }
    }

    @Test func aRoundRunsEveryPieceAfterOneThatIsNotCounted() throws {
        var runs = [0, 0]
        let (_, figures) = try Benchmark(workspace: Workspace(threads: 1), rounds: 3).run([
            .init("first", operations: 1) { runs[0] += 1 }, .init("second") { runs[1] += 1 },
        ])
        #expect(runs == [4, 4] && figures.map(\.name) == ["first", "second"])
        #expect(figures[0].share != nil && figures[1].share == nil && figures[1].gigaflops == nil)
    }
}

/// Small weights: speed does not depend on them.
private struct ConstantSource: ParameterSource {
    func tensor(_ name: String, _ shape: Shape) -> Tensor { Tensor(repeating: 0.01, shape) }
}
