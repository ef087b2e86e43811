import Collectives
import Datasets
import DatasetTestSupport
import Evaluation
import Foundation
import Recipes
import Runs
import Telemetry
import Testing
import TestSupport

/// What a run says about labels before its first step, and what it leaves out, on any number of ranks.
@Suite struct DoubtfulDataTests {
    private let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    private func recipe(_ settings: [String]) throws -> Recipe {
        try ResolvedRecipe(settings: ["model.kind=tiny", "data.root=\(folder.path)", "data.split=none"] + settings)
            .recipe
    }

    /// Names and reasons of images left out, warnings of rank 0; the same on 1, 2 and 3 ranks.
    private func open(_ recipe: Recipe) throws -> (used: [String], leftOut: [String], warnings: [String]) {
        let ends = try [1, 2, 3].flatMap { ranks in
            try InProcessCommunicator.run(ranks: ranks) { communicator -> [[String]] in
                let data = try TrainingData(recipe, communicator: communicator)
                return [
                    (0..<data.training.count).map(data.training.id), data.unreadable.map { "\($0.id): \($0.reason)" },
                    communicator.isRoot ? data.warnings : [],
                ]
            }
        }
        for end in ends { #expect(end[0] == ends[0][0] && end[1] == ends[0][1]) }
        #expect(ends[1][2] == ends[0][2])
        return (ends[0][0], ends[0][1], ends[0][2])
    }

    private func message(_ recipe: Recipe) -> String? {
        do {
            _ = try TrainingData(recipe)
        } catch {
            return "\(error)"
        }
        return nil
    }

    private func addCOCO(_ annotations: [String]) throws {
        for name in ["a.png", "b.png", "c.png"] { try folder.addImage(name, width: 8, height: 8) }
        let images = ["a", "b", "c"].enumerated().map {
            #"{"id": \#($0.offset + 1), "file_name": "\#($0.element).png", "width": 8, "height": 8}"#
        }
        let records = annotations.enumerated().map { #"{"id": \#($0.offset + 1), \#($0.element)}"# }
        try folder.addText(
            "annotations/instances_images.json",
            #"{"images": [\#(images.joined(separator: ","))], "annotations": [\#(records.joined(separator: ","))]}"#)
    }

    @Test func skipLeavesOutImagesWithAnnotationsAtFault() throws {
        let outline = #""segmentation": [[1, 1, 5, 1, 5, 5, 1, 5]]"#
        try addCOCO([
            #""image_id": 1, "segmentation": [[]]"#, #""image_id": 1, \#(outline)"#, #""image_id": 2, \#(outline)"#,
            #""image_id": 3, "segmentation": [[1, 1, 5, 1]]"#,
        ])
        let settings = ["data.format=coco", "data.badSamples=skip"]
        let found = try open(recipe(settings))
        #expect(found.used == ["b"] && found.leftOut.count == 2 && found.warnings.isEmpty)
        #expect(found.leftOut[0].hasPrefix("a: ") && found.leftOut[0].contains("annotation 1 (byte"))
        let refused = try #require(message(try recipe(["data.format=coco"])))
        #expect(refused.contains("annotation 1 (byte") && refused.contains("and 1 more"))
        #expect(refused.contains("or skip such images with data.badSamples=skip"))
        let tooMany = try #require(message(try recipe(settings + ["data.maximumBadSamples=1"])))
        #expect(tooMany.contains("2 images cannot be used, more than data.maximumBadSamples=1"))
    }

    @Test func crowdsAreNamed() throws {
        let runs = #""segmentation": {"size": [8, 8], "counts": [9, 3, 5, 3, 44]}"#
        try addCOCO((1...3).map { #""image_id": \#($0), "iscrowd": 1, \#(runs)"# })
        let taken = try open(recipe(["data.format=coco"]))
        #expect(taken.used.count == 3 && taken.warnings.count == 1)
        #expect(taken.warnings[0].contains("3 annotations with iscrowd 1 read as instances"))
        let none = try #require(message(try recipe(["data.format=coco", "data.crowds=skip"])))
        #expect(none.contains("none of its 3 images to train on has a labelled instance: 3 annotations with iscrowd 1"))
        #expect(none.contains("data.crowds=take") && !none.contains("binarise"))
    }

    @Test func boxesOrientationsAndFilesAreNamed() throws {
        let outline = #""segmentation": [[1, 1, 5, 1, 5, 5, 1, 5]]"#
        try addCOCO((1...3).map { #""image_id": \#($0), "bbox": [3, 3, 4, 4], \#(outline)"# })
        let boxes = try open(recipe(["data.format=coco"])).warnings
        #expect(boxes.count == 1 && boxes[0].contains("3 of 3 annotated boxes do not fit their masks"))
        #expect(
            try open(recipe(["data.format=coco", "prompts.kind=point", "evaluation.prompts=point"])).warnings == [])

        for name in ["a", "b", "c"] { try folder.addLabel(name + ".png", width: 8, height: 8, [9: 1]) }
        #expect(try open(recipe([])).warnings == [])
        try FileManager.default.removeItem(atPath: folder.path + "/images/a.png")
        try folder.addOriented("a.jpg", 3, width: 8, height: 8)
        try folder.addText("images/d.tif", "")
        let lines = try open(recipe([])).warnings
        #expect(lines.count == 2 && lines[0].contains("1 .tif"))
        #expect(lines[1].hasPrefix("data: 1 of 3 images state an Exif orientation that is not applied; "))
        #expect(lines[1].contains("data.exif=apply") && lines[1].count < 200)
        #expect(try open(recipe(["data.exif=apply"])).warnings.count == 1)
    }

    @Test func labelsWithoutInstances() throws {
        try folder.addImage("a.png")
        try folder.addLabel("a.png")
        #expect(message(try recipe([]))?.contains("its label images are 0 everywhere") == true)
        #expect(message(try recipe(["data.binarise=20"]))?.contains("above data.binarise=20") == true)
        #expect(message(try recipe(["data.format=images"]))?.contains("prompts.source=automatic") == true)
    }
}
