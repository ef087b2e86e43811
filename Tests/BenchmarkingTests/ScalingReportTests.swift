import Benchmarking
import Foundation
import Runs
import SegmentAnything
import Telemetry
import Testing

/// Plans, tables and the picture, with made-up numbers.
@Suite struct ScalingReportTests {
    private func plan(_ mode: ScalingPlan.Mode) throws -> ScalingPlan {
        var plan = try ScalingPlan(ranks: "4, 1,2,2")
        (plan.mode, plan.model) = (mode, .tiny)
        return plan
    }

    private func point(_ ranks: Int, _ batch: Int, _ seconds: Double, bound: Double = 1) -> ScalingPoint {
        ScalingPoint(
            work: .init(ranks: ranks, globalBatch: batch), nodes: 1, secondsPerStep: seconds, communication: 0.02,
            peerWait: ranks == 1 ? nil : 0.01, peakBytesPerRank: 300 << 20, bytesPerNode: 500 << 20, coreBound: bound)
    }

    private func exchanges() -> [ExchangeReport.Sample] {
        [100_000, 1_000_000].map { size in
            let exchange = StepExchange(parameters: size, imagesPerRank: 1)
            let network = Network(latency: 1e-5, secondsPerByte: 1e-9)
            return .init(exchange: exchange, ranks: 2, seconds: network.seconds(exchange, ranks: 2, .tree))
        }
    }

    @Test func aPlanHasEachCaseOnce() throws {
        #expect(try plan(.weak).cases.map { [$0.ranks, $0.globalBatch] } == [[1, 1], [2, 2], [4, 4]])
        #expect(try plan(.strong).cases.map { [$0.ranks, $0.globalBatch] } == [[1, 4], [2, 4], [4, 4]])
        #expect(
            try plan(.both).cases.map { [$0.ranks, $0.globalBatch] } == [[1, 1], [2, 2], [4, 4], [1, 4], [2, 4]])
        #expect(ScalingPlan.Case(ranks: 3, globalBatch: 4).imagesOfBusiestRank == 2)
    }

    @Test(arguments: ["", "1,", "0", "1,two", "-2", "1;2", "70000"])
    func whatIsNoListOfRanksIsRefused(text: String) {
        let error = #expect(throws: ScalingError.self) { try ScalingPlan(ranks: text) }
        #expect(error?.exitCode == .usage)
    }

    @Test func numbersThatCannotBeAreRefused() throws {
        let changes: [(inout ScalingPlan) -> Void] = [
            { $0.threads = 0 }, { $0.imagesPerRank = 0 }, { $0.instances = 9 }, { $0.steps = 0 }, { $0.warmUp = -1 },
            { $0.rounds = 0 },
        ]
        for change in changes {
            var plan = try plan(.weak)
            change(&plan)
            #expect(throws: ScalingError.self) { try plan.validate() }
        }
        try plan(.weak).validate()
    }

    @Test func weakEfficiencyIsRateOverRanks() throws {
        let rows = ScalingRow.rows(
            .weak, plan: try plan(.weak), points: [point(1, 1, 2), point(2, 2, 2.5), point(4, 4, 5, bound: 0.5)])
        #expect(rows.map(\.rateRatio) == [1, 1.6, 1.6])
        #expect(rows.map(\.efficiency) == [1, 0.8, 0.4])
        #expect(rows.map(\.bound) == [1, 1, 0.5])
        #expect(rows.map(\.efficiencyOfBound) == [1, 0.8, 0.8])
    }

    @Test func strongEfficiencyIsTimeOverRanksAndTime() throws {
        var plan = try ScalingPlan(ranks: "1,3,4")
        plan.mode = .strong
        let rows = ScalingRow.rows(.strong, plan: plan, points: [point(1, 4, 8), point(3, 4, 4), point(4, 4, 2)])
        #expect(rows.map(\.rateRatio) == [1, 2, 4])
        #expect(zip(rows.map(\.efficiency), [1, 2.0 / 3, 1]).allSatisfy { abs($0 - $1) < 1e-12 })
        // Four images on three ranks: one of them has two, so at best 4 / 6.
        #expect(zip(rows.map(\.bound), [1, 4.0 / 6, 1]).allSatisfy { abs($0 - $1) < 1e-12 })
    }

    @Test func theReportTellsOfSharedCoresAndAssumptions() throws {
        let report = ScalingReport(
            plan: try plan(.both), launcher: "mpirun",
            points: [
                point(1, 1, 2), point(2, 2, 2.1), point(4, 4, 4.4, bound: 0.5), point(1, 4, 8), point(2, 4, 4.2),
            ],
            exchanges: exchanges(), parameters: 100_000)
        #expect(report.rows.count == 6)
        #expect(report.predictions.map(\.nodes) == ScalingModel.predictedNodes)
        #expect(report.text.contains("RANKS SHARED CORES with 4 ranks"))
        #expect(report.text.contains("as measured here"))
        #expect(report.text.contains("not logged"))
        for assumption in report.assumptions { #expect(report.text.contains(assumption)) }
        let again = try JSONDecoder().decode(ScalingReport.self, from: Data(try report.json().utf8))
        #expect(again.rows == report.rows && again.predictions.count == report.predictions.count)
    }

    @Test func oneRankAlonePredictsForAGivenNetworkOnly() throws {
        let plan = try ScalingPlan(ranks: "1")
        let without = ScalingReport(
            plan: plan, launcher: "mpirun", points: [point(1, 1, 2)], exchanges: [], parameters: 1000)
        #expect(without.predictions.isEmpty && without.model == nil)
        #expect(without.text.contains("No prediction"))
        #expect(ScalingPlot(without).svg.hasSuffix("</svg>\n"))
        let with = ScalingReport(
            plan: plan, launcher: "mpirun", points: [point(1, 1, 2)], exchanges: [], parameters: 1000,
            latencyMicroseconds: 20, gigabits: 10)
        #expect(with.model?.computeSeconds == 2)
        #expect(with.predictions.count == 8 && with.text.contains("at least one value set by the user"))
    }

    /// Every element is closed, every coordinate lies in the picture, every row has its marks.
    @Test func thePictureIsWhole() throws {
        let report = ScalingReport(
            plan: try plan(.both), launcher: "mpirun",
            points: [
                point(1, 1, 2), point(2, 2, 2.1), point(4, 4, 4.4, bound: 0.5), point(1, 4, 8), point(2, 4, 4.2),
            ],
            exchanges: exchanges(), parameters: 100_000)
        let svg = ScalingPlot(report).svg
        #expect(svg.ranges(of: "<circle").count == 3 + 1)
        #expect(svg.ranges(of: "<polyline").count == 2)
        #expect(svg.ranges(of: "<text").count == svg.ranges(of: "</text>").count)
        #expect(!svg.contains("nan") && !svg.contains("inf"))
        for match in svg.matches(of: /c?x[12]?="(-?[0-9.]+)"/) {
            #expect(abs(try #require(Double(match.1))) <= 820)
        }
        let file = FileManager.default.temporaryDirectory.appendingPathComponent("kedge-scaling-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: file) }
        try report.write(to: file.path)
        #expect(
            try FileManager.default.contentsOfDirectory(atPath: file.path).sorted()
                == ["scaling.json", "scaling.svg", "scaling.txt"])
        var again = try ScalingReport(opening: file.path + "/scaling.json")
        again.predict(latencyMicroseconds: 1000, gigabits: nil)
        #expect(again.rows == report.rows && again.predictions[7].efficiency < report.predictions[7].efficiency)
        #expect(throws: ScalingError.self) { try ScalingReport(opening: file.path + "/scaling.svg") }
        let error = #expect(throws: ScalingError.self) { try report.write(to: "/proc/none") }
        #expect(error?.exitCode == .cannotWrite)
    }
}
