import Datasets
import DatasetTestSupport
import Foundation
import Testing
import TestSupport

/// Data sets of images with one grey mask each.
@Suite struct MaskedDatasetTests {
    /// A mask with a smoothed rim: only the middle is above half of white.
    private static let smoothed = ["15..", ".k##", "..#9"]
    private static let object = ["....", ".###", "..#."]

    /// Folder and file names contain the words that the released code replaces in paths.
    @Test(arguments: ["gdd", "msd"]) func glassAndMirrors(name: String) throws {
        let (folder, root) = (try TemporaryFolder(), "image jpg")
        for part in ["train", "test"] {
            try folder.draw("\(root)/\(part)/image/image_jpg.jpg")
            try folder.draw("\(root)/\(part)/mask/image_jpg.png", Self.smoothed, scale: 7)
        }
        try folder.draw("\(root)/train/image/a.jpg")
        try folder.draw("\(root)/train/mask/a.png", ["....", "....", "...."])
        try folder.draw("\(root)/train/mask/unused.png", ["...."])
        let dataset = try folder.open(name, in: root)
        let read = try ReadDataset(dataset)
        #expect(read.ids == ["train/a", "train/image_jpg", "test/image_jpg"])
        #expect(read.masks == [[], [Self.object], [Self.object]])
        #expect(read.samples[1].instances?.box(of: 0) == Box(x0: 1, y0: 1, x1: 4, y1: 3))
        #expect(try #require(dataset.publishedSplit) == ([0, 1], [2]))
        let lower = try ReadDataset(folder.open(name, in: root, binarise: 60))
        #expect(lower.masks[1] == [["....", ".###", "..##"]])
    }

    @Test func shadows() throws {
        let (folder, root) = (try TemporaryFolder(), "A")
        for (part, name) in [("train", "1-A"), ("train", "10-1"), ("test", "1-A")] {
            try folder.draw("\(root)/\(part)/\(part)_A/\(name).png")
            try folder.draw("\(root)/\(part)/\(part)_B/\(name).png", Self.smoothed, scale: 7)
        }
        let dataset = try folder.open("istd", in: root)
        let read = try ReadDataset(dataset)
        #expect(read.ids == ["train/1-A", "train/10-1", "test/1-A"])
        #expect(read.masks.allSatisfy { $0 == [Self.object] })
        #expect(try #require(dataset.publishedSplit) == ([0, 1], [2]))
    }

    @Test func camouflagedObjects() throws {
        let folder = try TemporaryFolder()
        for (part, name) in [("Train", "b"), ("Train", "a"), ("Test", "c")] {
            try folder.draw("CAMO/Images/\(part)/\(name).jpg")
            try folder.draw("CAMO/GT/\(name).png", Self.smoothed, scale: 7)
        }
        let dataset = try folder.open("camo", in: "CAMO")
        let read = try ReadDataset(dataset)
        #expect(read.ids == ["Train/a", "Train/b", "Test/c"] && read.masks[2] == [Self.object])
        #expect(try #require(dataset.publishedSplit) == ([0, 1], [2]))

        try folder.draw("CAMO/Images/Test/d.jpg")
        try folder.draw("CAMO/Images/Test/e.jpg", width: 5)
        try folder.draw("CAMO/GT/e.png", Self.smoothed)
        let faulty = try folder.open("camo", in: "CAMO")
        #expect(errorCode { _ = try faulty.sample(3) } == .missingLabel)
        #expect(errorCode { _ = try faulty.instanceCount(3) } == .missingLabel)
        #expect(errorCode { _ = try faulty.sample(4) } == .sizeMismatch)
        #expect(errorCode { _ = try faulty.instanceCount(4) } == .sizeMismatch)
        try folder.draw("CAMO/GT/c.PNG", Self.smoothed)
        #expect(errorCode { _ = try folder.open("camo", in: "CAMO") } == .ambiguousName)
        try FileManager.default.removeItem(atPath: folder.path + "/CAMO/GT/c.PNG")
        try FileManager.default.removeItem(atPath: folder.path + "/CAMO/Images/Test")
        #expect(errorCode { _ = try folder.open("camo", in: "CAMO") } == .missingFolder)
    }

    /// The released code splits the list before it leaves out images without a camouflaged object.
    @Test func camouflagedAnimals() throws {
        let folder = try TemporaryFolder()
        let names = (1...5).flatMap { ["COD10K-CAM-1-\($0)", "COD10K-NonCAM-2-\($0)"] }
        for name in names {
            try folder.draw("COD10K/Test/Image/\(name).jpg")
            let rows = name.contains("NonCAM") ? ["....", "....", "...."] : Self.smoothed
            try folder.draw("COD10K/Test/GT_Object/\(name).png", rows, scale: 7)
        }
        try folder.draw("COD10K/Train/Image/COD10K-CAM-9-1.jpg")
        let dataset = try folder.open("cod10k", in: "COD10K")
        let read = try ReadDataset(dataset)
        #expect(read.ids == (1...5).map { "COD10K-CAM-1-\($0)" })
        #expect(read.masks.allSatisfy { $0 == [Self.object] })
        #expect(try #require(dataset.publishedSplit) == ([0, 1, 2, 3], [4]))

        let released = try folder.open("cod10k", in: "COD10K", rules: .released)
        #expect(try (0..<10).map(released.instanceCount) == [1, 1, 1, 1, 1, 0, 0, 0, 0, 0])
        #expect(try #require(released.publishedSplit) == ([0, 1, 2, 3, 5, 6, 7, 8], [4, 9]))
    }

    @Test func testSetsHaveNoSplit() throws {
        let folder = try TemporaryFolder()
        for name in ["animal-2", "animal-1"] {
            try folder.draw("CHAMELEON/Imgs/\(name).jpg")
            try folder.draw("CHAMELEON/GT/\(name).png", Self.smoothed, scale: 7)
        }
        let dataset = try folder.open("chameleon", in: "CHAMELEON")
        #expect(try ReadDataset(dataset).ids == ["animal-1", "animal-2"])
        #expect(dataset.publishedSplit == nil && dataset.publishedSplit(limit: 1) == nil)
    }

    @Test func countingDecodesNoImage() throws {
        let folder = try TemporaryFolder()
        try folder.draw("Imgs/a.jpg", width: 64, height: 64)
        try folder.draw("GT/a.png", [String](repeating: String(repeating: "#", count: 64), count: 64))
        try folder.cut("Imgs/a.jpg", by: 30)
        let dataset = try folder.open("chameleon", in: ".")
        #expect(try dataset.instanceCount(0) == 1)
        #expect(errorCode { _ = try dataset.sample(0) } == .unreadableFile)
        let before = dataset.fingerprint(0)
        #expect(before.split(separator: "+").count == 2)
        try folder.cut("GT/a.png", by: 1)
        #expect(dataset.fingerprint(0) != before)
        #expect(errorCode { _ = try dataset.instanceCount(0) } == .unreadableFile)
    }

    @Test func linkedFoldersStayInside() throws {
        let (folder, other) = (try TemporaryFolder(), try TemporaryFolder())
        try folder.draw("Imgs/a.jpg")
        try other.draw("GT/a.png", Self.smoothed)
        try FileManager.default.createSymbolicLink(
            atPath: folder.path + "/GT", withDestinationPath: other.path + "/GT")
        #expect(errorCode { _ = try folder.open("chameleon", in: ".") } == .outsideRoot)
    }
}

@Suite struct LesionDatasetTests {
    private static let training = "ISBI2016_ISIC_Part1_Training"
    private static let test = "ISBI2016_ISIC_Part1_Test"

    private func folder() throws -> TemporaryFolder {
        let folder = try TemporaryFolder()
        for (part, name) in [(Self.training, "ISIC_2"), (Self.training, "ISIC_1"), (Self.test, "ISIC_3")] {
            try folder.draw("\(part)_Data/\(name).jpg")
            try folder.draw("\(part)_GroundTruth/\(name)_Segmentation.png", ["....", ".#9.", "...."])
        }
        return folder
    }

    private func row(_ number: Int, _ part: String, _ name: String) -> String {
        "\(number),\(part)_Data/\(name).jpg,\(part)_GroundTruth/\(name)_Segmentation.png"
    }

    @Test func listsGiveTheOrder() throws {
        let folder = try folder()
        try folder.addText(
            Self.training + "_GroundTruth.csv",
            ",img,seg\r\n\(row(0, Self.training, "ISIC_2"))\r\n\(row(1, Self.training, "ISIC_1"))\r\n")
        try folder.addText(
            Self.test + "_GroundTruth.csv",
            "seg,img\n"
                + "\(Self.test)_GroundTruth/ISIC_3_Segmentation.png,./\(Self.test)_Data/ISIC_3.jpg\n\n")
        let dataset = try folder.open("isic2016")
        let read = try ReadDataset(dataset)
        #expect(read.ids == ["ISIC_2", "ISIC_1", "ISIC_3"])
        #expect(read.masks.allSatisfy { $0 == [["....", ".#..", "...."]] })
        #expect(try #require(dataset.publishedSplit) == ([0, 1], [2]))
    }

    @Test func foldersServeWithoutLists() throws {
        let folder = try folder()
        #expect(try ReadDataset(folder.open("isic2016")).ids == ["ISIC_1", "ISIC_2", "ISIC_3"])
        try folder.draw(Self.training + "_Data/ISIC_0.jpg")
        let dataset = try folder.open("isic2016")
        #expect(errorCode { _ = try dataset.sample(0) } == .missingLabel)
        try folder.draw(Self.test + "_Data/ISIC_1.jpg")
        #expect(errorCode { _ = try folder.open("isic2016") } == .ambiguousName, "in both parts")
    }

    @Test(arguments: [
        ("", "no line with column names"), (",img,mask\n0,a,b\n", "no column 'seg'"), (",img,seg\n", "no row"),
        (",img,seg\n0,a\n", "line 2 (byte 9): labelCount: 2 values where the first line has 3"),
        (",img,seg\n0,\"a\",b\n", "line 2 (byte 9): syntax: a quotation mark"),
        (",img,seg\n0,/a.jpg,b.png\n", "is absolute"), (",img,seg\n0,a.jpg,../b.png\n", "leads out"),
        (",img,seg\n0,,b.png\n", "an empty path"),
        (
            ",img,seg\n0,x/a.jpg,a.png\n\n1,y/a.jpg,b.png\n",
            "line 4: duplicateImage: line 2 has an image of the same name"
        ),
    ])
    func faultyLists(text: String, fault: String) throws {
        let folder = try folder()
        try folder.addText(Self.training + "_GroundTruth.csv", text)
        let error = #expect(throws: DatasetError.self) { try folder.open("isic2016") }
        #expect(error?.code == .invalidAnnotation && error?.description.contains(fault) == true, "\(error as Any)")
        #expect(error?.location.contains("Training_GroundTruth.csv") == true)
    }

    @Test func listedFilesThatAreNotThere() throws {
        let folder = try folder()
        try folder.addText(
            Self.test + "_GroundTruth.csv",
            ",img,seg\n0,\(Self.test)_Data/ISIC_3.jpg,gone.png\n1,gone.jpg,\(Self.test)_GroundTruth/ISIC_3_Segmentation.png\n"
        )
        let dataset = try folder.open("isic2016")
        #expect(errorCode { _ = try dataset.sample(2) } == .missingLabel)
        #expect(errorCode { _ = try dataset.instanceCount(3) } == .unreadableFile)
        try Data([0x2C, 0xFF, 0x0A]).write(
            to: URL(fileURLWithPath: folder.path + "/" + Self.test + "_GroundTruth.csv"))
        #expect(errorCode { _ = try folder.open("isic2016") } == .invalidAnnotation)
    }
}
