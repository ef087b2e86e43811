import AdaptationMethods
import Kernels
import Layers
import LowRankAdaptation
import Performance
import SegmentAnything
import Tensors
import Testing

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
        let model = SegmentAnythingModel(.tiny, ConstantSource())
        let workspace = Workspace(threads: 2)
        let benchmark = ModelBenchmark(
            model: model,
            adapter: LoRAAdapter(layout: LoRALayout(sites: model.encoder.adapterSites, rank: 4), seed: 1),
            example: try ModelBenchmark.example(model, instances: 3), method: WeSAM(), workspace: workspace)
        let (ceiling, figures) = try Benchmark(workspace: workspace, rounds: 2).run(try benchmark.pieces(subject))
        #expect(ceiling > 1e8 && !figures.isEmpty)
        for figure in figures {
            #expect(figure.fastest > 0 && figure.fastest <= figure.seconds && figure.seconds <= figure.slowest)
            #expect(figure.share.map { $0 > 0 && $0 < 1.5 } ?? true, "\(figure)")
        }
        let report = Benchmark.Report(
            subject: subject.rawValue, model: "tiny", threads: 2, openBLASCore: "x", ceilingGigaflops: ceiling * 1e-9,
            rounds: 2, peakBytes: 1 << 20, figures: figures)
        #expect(figures.allSatisfy { report.text.contains($0.name) })
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
