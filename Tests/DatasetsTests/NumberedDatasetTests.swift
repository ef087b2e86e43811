import Datasets
import DatasetTestSupport
import Foundation
import Testing
import TestSupport

/// Data sets whose label files hold instance numbers.
@Suite struct NumberedDatasetTests {
    // MARK: Pascal VOC

    private func vocFolder(_ rows: [String], count: Int = 1) throws -> TemporaryFolder {
        let folder = try TemporaryFolder()
        for number in 0..<count {
            try folder.draw("JPEGImages/2007_\(number).jpg", width: rows[0].count, height: rows.count)
            try folder.draw(palette: "SegmentationObject/2007_\(number).png", rows)
        }
        try folder.draw("JPEGImages/2007_unlabelled.jpg")
        return folder
    }

    @Test func paletteIndicesAreInstances() throws {
        // 1, 4, 8 and 22 are m for 22; # is the void around objects.
        let folder = try vocFolder(["11#44", "##...", "88#mm"], count: 14)
        let dataset = try folder.open("pascal-voc")
        let read = try ReadDataset(dataset)
        #expect(read.ids.count == 14 && read.ids[1] == "2007_1")
        #expect(
            read.masks[0] == [
                ["##...", ".....", "....."], ["...##", ".....", "....."], [".....", ".....", "##..."],
                [".....", ".....", "...##"],
            ])
        let split = try #require(dataset.publishedSplit)
        #expect(split.evaluation == [6, 13] && split.training == [0, 1, 2, 3, 4, 5, 7, 8, 9, 10, 11, 12])
    }

    /// 1 becomes 4 and 4 becomes 1, so their order is swapped; 8 is lost; 22 becomes 19; the void is background anyway.
    @Test func releasedPalette() throws {
        let folder = try vocFolder(["11#44", "##...", "88#mm"])
        let read = try ReadDataset(folder.open("pascal-voc", rules: .released))
        #expect(
            read.masks[0] == [
                ["...##", ".....", "....."], ["##...", ".....", "....."], [".....", ".....", "...##"],
            ])
    }

    /// The numbers the released code keeps, by their colours: red and blue swapped, looked up among the first 21.
    @Test func releasedPaletteKeepsWhatItsColoursSay() throws {
        func colour(_ index: Int) -> [Int] {
            (0..<3).map { first in (0..<3).reduce(0) { $0 | (index >> (first + 3 * $1) & 1) << (7 - $1) } }
        }
        let expected = (1..<36).filter { index in (1..<21).contains { colour($0) == colour(index).reversed() } }
        let digits = Array("123456789abcdefghijklmnopqrstuvwxyz")
        let folder = try vocFolder([String(digits)])
        let masks = try ReadDataset(folder.open("pascal-voc", rules: .released)).masks[0]
        let kept = masks.compactMap { rows in Array(rows[0]).firstIndex(of: "#").map { $0 + 1 } }.sorted()
        #expect(kept == expected)
        #expect(kept == [1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 20, 22, 32, 33, 34, 35])
    }

    @Test func labelsWithoutImages() throws {
        let folder = try vocFolder(["11", ".."])
        try folder.draw(palette: "SegmentationObject/2008.png", ["11", ".."])
        let dataset = try folder.open("pascal-voc")
        let error = #expect(throws: DatasetError.self) { try dataset.sample(1) }
        #expect(error?.code == .unreadableFile && error?.location == folder.path + "/JPEGImages/2008.jpg")
        try FileManager.default.removeItem(atPath: folder.path + "/JPEGImages")
        #expect(errorCode { _ = try folder.open("pascal-voc") } == .missingFolder)
    }

    // MARK: OSD

    private func osdFolder(_ rows: [String]) throws -> TemporaryFolder {
        let folder = try TemporaryFolder()
        for name in ["learn1", "learn0"] {
            try folder.draw("OSD/image_color/\(name).png", width: rows[0].count, height: rows.count)
            try folder.draw(labels: "OSD/annotation/\(name).png", rows)
        }
        return folder
    }

    @Test func theFirstObjectIsKept() throws {
        let folder = try osdFolder(["1.2", "1.3"])
        let dataset = try folder.open("osd", in: "OSD")
        let read = try ReadDataset(dataset)
        #expect(read.ids == ["learn0", "learn1"])
        #expect(read.masks[0] == [["#..", "#.."], ["..#", "..."], ["...", "..#"]])
        #expect(try #require(dataset.publishedSplit) == ([0, 1], []))
        let released = try ReadDataset(folder.open("osd", in: "OSD", rules: .released))
        #expect(released.masks[0] == [["..#", "..."], ["...", "..#"]])
    }

    // MARK: OCID

    private func ocidFolder(root: String = "OCID", offset: UInt16 = 0) throws -> TemporaryFolder {
        let folder = try TemporaryFolder()
        // Written in another order than that of their names.
        for sequence in [
            "YCB10/floor/top/seq02", "ARID20/table/bottom/seq01", "ARID20/floor/seq10", "ARID20/floor/seq09",
        ] {
            for frame in ["result_rgb_2", "result_rgb_1"] {
                let place = "\(root)/\(sequence)/"
                try folder.draw("\(place)rgb/\(frame).png", width: 4, height: 2)
                try folder.draw(labels: "\(place)label/\(frame).png", [".123", ".123"])
                try folder.draw("\(place)depth/\(frame).png")
            }
        }
        try folder.addText("\(root)/ARID20/readme.txt", "")
        return folder
    }

    private static let second = ["..#.", "..#."]
    private static let third = ["...#", "...#"]

    @Test func supportsAreBackground() throws {
        let folder = try ocidFolder()
        let dataset = try folder.open("ocid", in: "OCID")
        let read = try ReadDataset(dataset)
        #expect(
            read.ids
                == [
                    "ARID20/floor/seq09", "ARID20/floor/seq10", "ARID20/table/bottom/seq01", "YCB10/floor/top/seq02",
                ].flatMap { [$0 + "/result_rgb_1", $0 + "/result_rgb_2"] })
        let (floor, table) = ([Self.second, Self.third], [Self.third])
        #expect(read.masks == [floor, floor, floor, floor, table, table, floor, floor])
        #expect(try #require(dataset.publishedSplit).evaluation == [6])
    }

    /// The released code looks for `table` in the whole path, including the root.
    @Test func tablesInTheRoot() throws {
        let folder = try ocidFolder(root: "tables")
        let corrected = try ReadDataset(folder.open("ocid", in: "tables"))
        #expect(corrected.masks[0] == [Self.second, Self.third])
        let released = try ReadDataset(folder.open("ocid", in: "tables", rules: .released))
        #expect(released.masks.allSatisfy { $0 == [Self.third] })
    }

    @Test func labelsOfSixteenBitsAndWithoutBackground() throws {
        let folder = try TemporaryFolder()
        try folder.draw("OCID/A/floor/seq01/rgb/a.png", width: 4, height: 1)
        try folder.draw(labels: "OCID/A/floor/seq01/label/a.png", ["2345"], offset: 1000)
        #expect(try ReadDataset(folder.open("ocid", in: "OCID")).masks[0].count == 4)
        let released = try ReadDataset(folder.open("ocid", in: "OCID", rules: .released))
        #expect(released.masks[0] == [[".#.."], ["..#."], ["...#"]])
    }

    @Test func ocidFaults() throws {
        let folder = try ocidFolder()
        try FileManager.default.removeItem(atPath: folder.path + "/OCID/ARID20/floor/seq09/label/result_rgb_1.png")
        let dataset = try folder.open("ocid", in: "OCID")
        #expect(errorCode { _ = try dataset.instanceCount(0) } == .missingLabel)
        #expect(try dataset.instanceCount(1) == 2)
        try FileManager.default.removeItem(atPath: folder.path + "/OCID/ARID20/floor/seq09/label")
        #expect(errorCode { _ = try folder.open("ocid", in: "OCID") } == .missingFolder)
        #expect(errorCode { _ = try folder.open("ocid", in: "images") } == .emptyDataset)
    }

    /// A sequence counts once, and a folder that links to an ancestor is not entered again.
    @Test func linksInCircles() throws {
        let folder = try ocidFolder()
        try FileManager.default.createSymbolicLink(
            atPath: folder.path + "/OCID/ARID20/again", withDestinationPath: folder.path + "/OCID/ARID20")
        try FileManager.default.createSymbolicLink(
            atPath: folder.path + "/OCID/ZOTHER", withDestinationPath: folder.path + "/OCID/ARID20/floor")
        #expect(try folder.open("ocid", in: "OCID").count == 8)
    }
}
