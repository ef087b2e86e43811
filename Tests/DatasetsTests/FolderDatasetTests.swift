import Datasets
import DatasetTestSupport
import Foundation
import Imaging
import Testing
import TestSupport

@Suite struct FolderDatasetTests {
    func code(_ body: () throws -> Void) -> DatasetError.Code? {
        do {
            try body()
        } catch let error as DatasetError {
            return error.description.contains("\n") ? nil : error.code
        } catch {}
        return nil
    }

    @Test func readsInOrderOfNames() throws {
        let folder = try TemporaryFolder()
        try folder.addImage("b.jpg")
        try folder.addImage("a.PNG.png")
        try folder.addImage("B.png")
        try folder.addLabel("b.png", [0: 7, 5: 300])
        try folder.addLabel("a.PNG.png")
        try folder.addLabel("B.png", [1: 2])
        try folder.addLabel("unused.png")
        let dataset = try folder.open()
        #expect((0..<dataset.count).map(dataset.id) == ["B", "a.PNG", "b"])
        let sample = try dataset.sample(2)
        #expect(sample.instances?.count == 2 && sample.image.channels == 3)
        #expect(try (0..<3).map(dataset.instanceCount) == [1, 0, 2])
        let subset = DatasetSubset(dataset, indices: [2, 0])
        #expect(subset.id(0) == "b" && subset.fingerprint(1) == dataset.fingerprint(0))
    }

    @Test func binarisesLabels() throws {
        let folder = try TemporaryFolder()
        try folder.addImage("x.png", width: 16, height: 8)
        var mask = Image(width: 16, height: 8, channels: 1)
        for y in 0..<8 { for x in 8..<16 { mask.pixels[y * 16 + x] = 255 } }
        try mask.writeJPEG(to: folder.path + "/labels/x.jpg", quality: 95)
        let sample = try folder.open(binarise: 127).sample(0)
        #expect(sample.instances?.count == 1)
        #expect(sample.instances?.box(of: 0) == Box(x0: 8, y0: 0, x1: 16, y1: 8))
        #expect(code { _ = try folder.open().instanceCount(0) } == .missingLabel, "a JPEG is no instance label")
    }

    @Test func faultsAreErrors() throws {
        let folder = try TemporaryFolder()
        #expect(code { _ = try folder.open() } == .emptyDataset)
        try folder.addImage("a.png")
        #expect(code { _ = try folder.open().sample(0) } == .missingLabel)
        try folder.addLabel("a.png", width: 3, height: 4)
        #expect(code { _ = try folder.open().sample(0) } == .sizeMismatch)
        try folder.addLabel("a.png")
        try Data([1, 2, 3]).write(to: URL(fileURLWithPath: folder.path + "/labels/a.png"))
        #expect(code { _ = try folder.open().sample(0) } == .unreadableFile)
        try folder.addImage("a.jpg")
        #expect(code { _ = try folder.open() } == .ambiguousName)
        #expect(code { _ = try FolderDataset(DatasetOptions(root: folder.path + "/none")) } == .missingFolder)
    }

    @Test func foldersCanHaveOtherNames() throws {
        let folder = try TemporaryFolder()
        try folder.addImage("a.png")
        try folder.addLabel("a.png", [2: 1])
        for (old, new) in [("images", "JPEGImages"), ("labels", "masks")] {
            try FileManager.default.moveItem(atPath: folder.path + "/" + old, toPath: folder.path + "/" + new)
        }
        let options = DatasetOptions(root: folder.path, imagesFolder: "JPEGImages", labelsFolder: "masks")
        #expect(try FolderDataset(options).sample(0).instances?.count == 1)
    }

    @Test func intensityImagesAreNoInstanceLabels() throws {
        let folder = try TemporaryFolder()
        try folder.addImage("a.png", width: 400, height: 400)
        let ramp = Dictionary(uniqueKeysWithValues: (0..<65_535).map { ($0, UInt16($0 + 1)) })
        try folder.addLabel("a.png", width: 400, height: 400, ramp)
        #expect(code { _ = try folder.open().sample(0) } == .unreadableFile)
    }

    @Test func unknownNamesAreToldTheKnownOnes() {
        do {
            _ = try DatasetRegistry.open("imagenet", DatasetOptions(root: "."))
            Issue.record("an unknown data set was opened")
        } catch {
            #expect("\(error)".contains("'imagenet'") && "\(error)".contains("folder"))
        }
    }

    /// 16383 instances of one pixel each.
    @Test func aColumnOfSinglePixelsIsNoInstanceLabel() throws {
        let (folder, side) = (try TemporaryFolder(), 16_384)
        try folder.addImage("a.png", width: 1, height: side)
        let labels = LabelImage(width: 1, height: side, labels: (0..<side).map { UInt16($0) })
        try labels.writePNG(to: folder.path + "/labels/a.png")
        let dataset = try folder.open()
        #expect(code { _ = try dataset.sample(0) } == .unreadableFile)
    }
}
