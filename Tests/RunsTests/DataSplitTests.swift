import Datasets
import DatasetTestSupport
import Foundation
import Imaging
import Recipes
import Runs
import Testing
import TestSupport
import Training

/// A data set with a published split: three images to train on, two to score.
final class ShadowFolder: Sendable {
    let path = FileManager.default.temporaryDirectory.appendingPathComponent("kedge-shadows-\(UUID().uuidString)").path

    init() throws {
        for (part, count) in [("train", 3), ("test", 2)] {
            for (folder, value) in [("A", UInt8(9)), ("B", UInt8(255))] {
                let place = "\(path)/\(part)/\(part)_\(folder)"
                try FileManager.default.createDirectory(atPath: place, withIntermediateDirectories: true)
                for number in 0..<count {
                    try Image(width: 8, height: 8, channels: 3, filledWith: value)
                        .writePNG(to: "\(place)/\(number).png")
                }
            }
        }
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }
}

/// The selection of images to train on and to score.
@Suite struct DataSplitTests {
    private func split(_ root: String, _ settings: [String]) throws -> [[Int]] {
        let recipe = try ResolvedRecipe(settings: ["model.kind=tiny", "data.root=\(root)"] + settings)
        let data = try TrainingData(recipe.recipe)
        return [data.training.ids.map(\.index), data.evaluation.first?.ids.map(\.index) ?? []]
    }

    @Test func publishedSplitsAreTheDefault() throws {
        let folder = try ShadowFolder()
        func split(_ settings: String...) throws -> [[Int]] {
            try self.split(folder.path, ["data.format=istd"] + settings)
        }
        #expect(try split() == [[0, 1, 2], [3, 4]])
        #expect(try split("data.limit=2") == [[0], [3]])
        #expect(try split("data.limit=4") == [[0, 1, 2], [3]])
        #expect(try split("data.split=2:1") == [[0, 1, 3, 4], [2]])
        #expect(try split("data.split=none") == [[0, 1, 2, 3, 4], [0, 1, 2, 3, 4]])
        let error = #expect(throws: DatasetError.self) { try split("data.splitSeed=3") }
        #expect(error?.code == .invalidOption && error?.location == "data.splitSeed")
        let drawn = try split("data.splitSeed=3", "data.split=2:1")
        #expect(drawn[0].count == 4 && drawn[1].count == 1)
    }

    @Test func fiveToOneWhereNothingIsPublished() throws {
        let folder = try CellFolder(count: 7)
        #expect(try split(folder.path, []) == [[0, 1, 2, 3, 4, 6], [5]])
        #expect(try split(folder.path, []) == split(folder.path, ["data.split=5:1"]))
        let seeded = try split(folder.path, ["data.splitSeed=3"])
        #expect(try seeded == split(folder.path, ["data.split=5:1", "data.splitSeed=3"]))
    }

    /// Two defects in each of six images: twelve samples, but a split and a limit count images.
    @Test func samplesOfOneImageStayTogether() throws {
        let folder = try TemporaryFolder()
        for number in 0..<6 {
            try folder.draw("images/\(number).png", width: 10, height: 4)
            try folder.draw("labels/\(number).png", ["####..####", "####..####", "####..####", ".........."])
        }
        func split(_ settings: String...) throws -> [[Int]] {
            try self.split(folder.path, ["data.format=folder-components", "data.samples=instance"] + settings)
        }
        #expect(try split("data.split=2:1") == [[0, 1, 2, 3, 6, 7, 8, 9], [4, 5, 10, 11]])
        #expect(try split("data.split=1:1", "data.limit=2") == [[0, 1], [2, 3]])
        #expect(try split("data.split=none", "data.limit=1") == [[0, 1], [0, 1]])
        #expect(try split("data.samples=largest", "data.split=5:1") == [[0, 1, 2, 3, 4], [5]])
    }
}
