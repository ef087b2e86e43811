import Collectives
import Datasets
import DataTools
import Foundation
import Kernels
import Runs
import Telemetry
import Testing
import Training

/// Runs on unlabelled images.
@Suite struct AutomaticLabelTests {
    private let place = FileManager.default.temporaryDirectory.appendingPathComponent("kedge-automatic-\(UUID())").path

    private func images(_ count: Int) throws {
        try SyntheticCells.write(to: place + "/data", count: count, side: 64, seed: 7, severity: 1)
        try FileManager.default.removeItem(atPath: place + "/data/labels")
    }

    private func recipe(_ settings: [String] = []) throws -> ResolvedRecipe {
        try ResolvedRecipe(
            settings: [
                "data.root=\(place)/data", "data.format=images", "data.split=none", "model.kind=tiny",
                "prompts.source=automatic", "run.folder=\(place)/runs", "automatic.pointsPerSide=4",
                "automatic.predictedIoU=0", "automatic.stability=0", "training.globalBatch=2", "training.steps=2",
                "optimizer.warmUpSteps=0", "execution.threads=1", "evaluation.prompts=[]",
            ] + settings)
    }

    private func run(_ recipe: ResolvedRecipe, ranks: Int) throws -> [String?] {
        try InProcessCommunicator.run(ranks: ranks) { communicator in
            try AdaptationRun(
                recipe: recipe, communicator: communicator, workspace: Workspace(threads: 1), isStopRequested: { false }
            ).run().adapterDigest
        }
    }

    @Test func imagesAloneTrainToTheSameBitsOnAnyNumberOfRanks() throws {
        defer { try? FileManager.default.removeItem(atPath: place) }
        try images(5)
        let one = try #require(try run(recipe(["run.name=one"]), ranks: 1)[0])
        let three = try #require(try run(recipe(["run.name=three"]), ranks: 3)[0])
        #expect(one == three)
        let files = try FileManager.default.contentsOfDirectory(atPath: place + "/runs/one/automatic").sorted()
        #expect(files == (1...5).map { "00000\($0).json" })
        for file in files {
            let pair = ["one", "three"].map {
                FileManager.default.contents(atPath: "\(place)/runs/\($0)/automatic/\(file)")
            }
            #expect(pair[0] == pair[1] && pair[0] != nil)
        }
    }

    /// A run killed during labelling resumes with the labels found; labels of other settings are regenerated.
    @Test func labelsThatAreThereAreTaken() throws {
        defer { try? FileManager.default.removeItem(atPath: place) }
        try images(3)
        let whole = try #require(try run(recipe(["run.name=whole"]), ranks: 1)[0])
        let folder = place + "/runs/cut/automatic"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        try FileManager.default.copyItem(
            atPath: place + "/runs/whole/automatic/000001.json", toPath: folder + "/000001.json")
        try Data("{".utf8).write(to: URL(fileURLWithPath: folder + "/000002.json"))
        let stamp =
            try FileManager.default.attributesOfItem(atPath: folder + "/000001.json")[.modificationDate] as? Date
        #expect(try run(recipe(["run.name=cut"]), ranks: 2)[0] == whole)
        let after =
            try FileManager.default.attributesOfItem(atPath: folder + "/000001.json")[.modificationDate] as? Date
        #expect(stamp == after)
        let other = try run(
            recipe(["run.name=cut", "automatic.pointsPerSide=2", "run.folder=\(place)/others"]), ranks: 1)[0]
        #expect(other != whole)
    }

    /// A request to stop takes effect after each rank's current image, and the next start resumes from there.
    @Test func aRequestToStopIsSeenBetweenImages() throws {
        defer { try? FileManager.default.removeItem(atPath: place) }
        try images(5)
        let whole = try #require(try run(recipe(["run.name=whole"]), ranks: 1)[0])
        let stopped = try recipe(["run.name=stopped"])
        let codes = try InProcessCommunicator.run(ranks: 2) { communicator in
            let isAsked = communicator.rank == 1
            return try AdaptationRun(
                recipe: stopped, communicator: communicator, workspace: Workspace(threads: 1),
                isStopRequested: { isAsked }
            ).run().exitCode
        }
        #expect(codes == [.resumable, .resumable])
        let files = try FileManager.default.contentsOfDirectory(atPath: place + "/runs/stopped/automatic").sorted()
        #expect(files == ["000001.json", "000002.json"])
        #expect(try run(stopped, ranks: 3)[0] == whole)
    }

    /// Replacing a run keeps labels that are still valid; a run that may not be replaced is refused before labelling.
    @Test func replacingARunKeepsItsLabels() throws {
        defer { try? FileManager.default.removeItem(atPath: place) }
        try images(2)
        let first = try #require(try run(recipe(["run.name=again"]), ranks: 1)[0])
        func again(_ start: AdaptationRun.Start, _ settings: [String] = []) throws -> String? {
            try AdaptationRun(
                recipe: recipe(["run.name=again"] + settings), communicator: try SingleProcessCommunicator(),
                workspace: Workspace(threads: 1), isStopRequested: { false }
            ).run(start).adapterDigest
        }
        let second = try again(.init(overwriting: true))
        #expect(second == first)
        let file = place + "/runs/again/automatic/000001.json"
        let before = FileManager.default.contents(atPath: file)
        #expect(throws: RunError.self) { _ = try again(.init(resume: "none"), ["automatic.pointsPerSide=2"]) }
        #expect(before != nil && FileManager.default.contents(atPath: file) == before)
    }

    @Test func thresholdsThatLeaveNothingAreNamed() throws {
        defer { try? FileManager.default.removeItem(atPath: place) }
        try images(2)
        let error = #expect(throws: DatasetError.self) {
            _ = try run(recipe(["automatic.predictedIoU=1"]), ranks: 1)
        }
        #expect(error?.description.contains("automatic.predictedIoU") == true)
        let simulated = #expect(throws: DatasetError.self) {
            _ = try run(recipe(["prompts.source=simulated"]), ranks: 1)
        }
        #expect(simulated?.description.contains("prompts.source=automatic") == true)
    }
}
