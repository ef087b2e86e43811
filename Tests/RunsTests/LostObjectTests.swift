import Foundation
import Imaging
import Kernels
import Machine
import Runs
import Telemetry
import Testing
import TestSupport

/// Specks that are lost in a view are counted and named, in training and in scoring, on any number of ranks.
@Suite struct LostObjectTests {
    @Test(arguments: [1, 2]) func theyAreNamed(ranks: Int) throws {
        BLASEnvironment.useSingleThread()
        let (place, side) = (try TemporaryFolder("specks"), 800)
        let names = (0..<6).map { "cells-000\($0)" }
        for folder in ["images", "labels"] {
            try FileManager.default.createDirectory(
                atPath: "\(place.path)/\(folder)", withIntermediateDirectories: true)
        }
        for name in names {
            try Image(width: side, height: side, channels: 3, filledWith: 90)
                .writePNG(to: "\(place.path)/images/\(name).png")
            var speck = LabelImage(width: side, height: side, labels: [UInt16](repeating: 0, count: side * side))
            speck.labels[401 * side + 403] = 1
            for y in 100..<700 {
                for x in 500..<700 { speck.labels[y * side + x] = 2 }
            }
            try speck.writePNG(to: "\(place.path)/labels/\(name).png")
        }
        let outcome = try InProcessRun.outcome(
            [
                "model.kind=tiny", "data.root=\(place.path)", "data.split=1:1", "method.name=hq-sam",
                "method.pointCount=64", "training.globalBatch=3", "training.steps=3", "training.logEvery=3",
                "evaluation.view=squash", "run.folder=\(place.path)/runs", "run.name=specks",
            ], ranks: ranks)
        #expect(outcome.exitCode == .done)
        let warnings = try String(contentsOfFile: place.path + "/runs/specks/log.jsonl", encoding: .utf8)
            .split(separator: "\n").filter { $0.contains("\"event\":\"warning\"") }
        let scored = "evaluation of data: 3 labelled objects of 3 images leave no pixel in the model's square"
        #expect(warnings.filter { $0.contains(scored) }.count == 1, "said once, for two evaluations")
        let taught = try #require(
            warnings.first { $0.contains("of 9 views hold no labelled object and teach nothing: ") })
        #expect(names.contains { taught.contains($0) }, "\(taught)")
    }
}
