import Datasets
import DatasetTestSupport
import Foundation
import Testing
import TestSupport

/// Own masks without instance numbers: pieces of a binary image, and a file per instance.
@Suite struct OwnMaskTests {
    private func folder(_ labels: [String: [String]], images: [String] = ["a"]) throws -> TemporaryFolder {
        let folder = try TemporaryFolder()
        for name in images { try folder.draw("images/\(name).png", width: 6, height: 4) }
        for (name, rows) in labels { try folder.draw("labels/\(name).png", rows) }
        return folder
    }

    @Test func piecesTouchAtCorners() throws {
        // The U is found first, at its right arm; the two pixels that touch at a corner are one piece.
        let folder = try folder(["a": ["....#.", "#.#.#.", "#.###1", ".#...."]])
        let dataset = try folder.open("folder-components")
        let read = try ReadDataset(dataset)
        #expect(
            read.masks == [
                [["....#.", "#.#.#.", "#.####", ".#...."]]
            ])
        let other = try self.folder(["a": ["..#..#", "#....#", "#.....", "#..##."]])
        let apart = try ReadDataset(other.open("folder-components"))
        #expect(
            apart.masks == [
                [
                    ["..#...", "......", "......", "......"], [".....#", ".....#", "......", "......"],
                    ["......", "#.....", "#.....", "#....."], ["......", "......", "......", "...##."],
                ]
            ])
        #expect(dataset.publishedSplit == nil)
    }

    @Test func piecesOfAThreshold() throws {
        let folder = try folder(["a": ["99a.9.", "......", "......", "9a...."]])
        #expect(try ReadDataset(folder.open("folder-components")).masks[0].count == 3)
        let above = try ReadDataset(folder.open("folder-components", binarise: 9))
        #expect(
            above.masks == [[["..#...", "......", "......", "......"], ["......", "......", "......", ".#...."]]])
    }

    /// By the definition: pixels are of one piece if a chain of neighbours joins them.
    @Test(arguments: [1, 2, 3, 4, 5]) func piecesByDefinition(seed: Int) throws {
        let (width, height) = (13, 9)
        var state = UInt64(seed)
        let pixels = (0..<width * height).map { _ in
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return state >> 40 & 3 == 0
        }
        var piece = pixels.indices.map { pixels[$0] ? $0 : -1 }
        for _ in pixels {
            for one in pixels.indices where pixels[one] {
                for other in pixels.indices where pixels[other] {
                    guard abs(one % width - other % width) <= 1, abs(one / width - other / width) <= 1 else { continue }
                    piece[one] = min(piece[one], piece[other])
                }
            }
        }
        let firsts = Set(piece.filter { $0 >= 0 }).sorted()
        let folder = try TemporaryFolder()
        try folder.draw("images/a.png", width: width, height: height)
        try folder.draw(
            "labels/a.png",
            (0..<height).map { y in String((0..<width).map { pixels[y * width + $0] ? "#" : "." }) })
        let masks = try #require(try folder.open("folder-components").sample(0).instances)
        #expect(masks.count == firsts.count && firsts.count > 3)
        for (instance, first) in firsts.enumerated() {
            #expect(masks.bitmap(of: instance) == piece.map { $0 == first ? 1 : 0 })
        }
    }

    /// A mask of single pixels would take a gigabyte of masks.
    @Test func noiseIsRefused() throws {
        let folder = try TemporaryFolder()
        let side = 512
        try folder.draw("images/a.png", width: side, height: side)
        let dotted = (0..<side).map { y in
            y % 2 == 1 ? String(repeating: ".", count: side) : String(repeating: "#.", count: side / 2)
        }
        try folder.draw("labels/a.png", dotted)
        let error = #expect(throws: DatasetError.self) { try folder.open("folder-components").sample(0) }
        #expect(error?.code == .unreadableFile && error?.problem.hasPrefix("holds 65536 instances") == true)
    }

    private static let left = ["##....", "##....", "......", "......"]
    private static let overlapping = [".##...", ".##...", "......", "......"]
    private static let none = ["......", "......", "......", "......"]

    @Test func aFilePerInstance() throws {
        let folder = try folder(
            [
                "a/2": Self.left, "a/10": Self.overlapping, "a/3": Self.none, "b_one": Self.left,
                "b_2_x": Self.overlapping,
                "b_2_1_1": Self.left, "b_2_1": Self.overlapping, "c": Self.left, "unused_1": Self.left,
            ], images: ["a", "b", "b_2", "none"])
        try FileManager.default.createDirectory(
            atPath: folder.path + "/labels/none", withIntermediateDirectories: false)
        let read = try ReadDataset(folder.open("folder-instances"))
        #expect(read.ids == ["a", "b", "b_2", "none"])
        #expect(
            read.masks[0] == [Self.overlapping, Self.left], "in order of the names; a file without pixels is left out")
        #expect(read.masks[1] == [Self.left])
        #expect(
            read.masks[2] == [Self.overlapping, Self.left, Self.overlapping], "the longest name of an image counts")
        #expect(read.masks[3] == [] && read.samples[3].instances?.count == 0)
        let dataset = try folder.open("folder-instances")
        #expect(dataset.fingerprint(0).split(separator: "+").count == 4 && dataset.fingerprint(3).hasSuffix("+-"))
    }

    @Test func faultsOfFilesPerInstance() throws {
        let folder = try folder(["a/1": Self.left, "a/2": ["##", "##"], "c_1": Self.left], images: ["a", "b", "c"])
        let dataset = try folder.open("folder-instances")
        let error = #expect(throws: DatasetError.self) { try dataset.sample(0) }
        #expect(error?.code == .sizeMismatch && error?.location == folder.path + "/labels/a/2.png")
        #expect(errorCode { _ = try dataset.instanceCount(1) } == .missingLabel)
        try folder.draw("labels/c/1.png", Self.left)
        #expect(errorCode { _ = try folder.open("folder-instances") } == .ambiguousName)
    }

    @Test func jpegFilesPerInstanceNeedAThreshold() throws {
        let folder = try folder([:])
        try folder.draw("labels/a_1.jpg", ["######", "######", "......", "......"])
        #expect(errorCode { _ = try folder.open("folder-instances").sample(0) } == .missingLabel)
        #expect(try folder.open("folder-instances", binarise: 127).sample(0).instances?.count == 1)
    }
}

@Suite struct PublishedSplitTests {
    private struct Listed: SegmentationDataset {
        var split: (training: [Int], evaluation: [Int])?
        var count: Int { 10 }
        func id(_ index: Int) -> String { "\(index)" }
        func sample(_ index: Int) throws -> Sample { throw DatasetError(.missingLabel, at: "", "", remedy: "") }
        var publishedSplit: (training: [Int], evaluation: [Int])? { split }
    }

    @Test func limitsKeepTheProportion() throws {
        let official = Listed(split: (Array(0..<7), Array(7..<10)))
        #expect(try #require(official.publishedSplit(limit: nil)) == (Array(0..<7), [7, 8, 9]))
        #expect(try #require(official.publishedSplit(limit: 10)) == (Array(0..<7), [7, 8, 9]))
        #expect(try #require(official.publishedSplit(limit: 9)) == (Array(0..<7), [7, 8]))
        #expect(try #require(official.publishedSplit(limit: 4)) == ([0, 1, 2], [7]))
        #expect(try #require(official.publishedSplit(limit: 2)) == ([0], [7]))
        #expect(try #require(official.publishedSplit(limit: 1)) == ([0], []))
        let ratio = Listed(split: KToOneSplit(k: 4).apply(count: 10))
        #expect(try #require(ratio.publishedSplit(limit: 5)) == KToOneSplit(k: 4, limit: 5).apply(count: 10))
        #expect(Listed(split: nil).publishedSplit(limit: 3) == nil)
        #expect(DatasetSubset(official, indices: [1, 2]).publishedSplit == nil)
    }

    @Test func cocoIsCutSixToOne() throws {
        let folder = try TemporaryFolder()
        let images = (1...8).map { #"{"id": \#($0), "file_name": "\#($0).png", "width": 4, "height": 3}"# }
        try folder.addText(
            "annotations/instances_images.json",
            #"{"images": [\#(images.joined(separator: ","))], "annotations": [], "categories": []}"#)
        #expect(try #require(try folder.open("coco").publishedSplit) == ([0, 1, 2, 3, 4, 5, 7], [6]))
    }

    @Test func everyDataSetHasItsName() {
        #expect(
            DatasetRegistry.names == [
                "bsdata", "camo", "chameleon", "coco", "coconut", "cod10k", "cosam", "folder", "folder-components",
                "folder-instances", "gdd", "images", "isic2016", "istd", "kvasir-seg", "kvasir-sessile", "labelme",
                "manifest", "msd", "mvtec-1", "mvtec-2", "mvtec-3", "mvtec-ad", "ocid", "osd", "pascal-voc", "rsdds-1",
                "rsdds-2", "sa-1b",
            ])
    }
}

/// Polygons of samples, from which prompts can be created.
@Suite struct AnnotatedPolygonTests {
    private let small = Polygon(vertices: [.init(x: 8, y: 1), .init(x: 9, y: 1), .init(x: 9, y: 4), .init(x: 8, y: 4)])
    private let large = Polygon(vertices: [.init(x: 1, y: 1), .init(x: 5, y: 1), .init(x: 5, y: 5), .init(x: 1, y: 5)])

    @Test func areasOfPolygons() {
        #expect(small.area == 3 && large.area == 16 && Polygon(vertices: []).area == 0)
        #expect(Polygon(vertices: large.vertices.reversed()).area == 16)
    }

    @Test func theLargestPolygonOfEachInstance() throws {
        let folder = try TemporaryFolder()
        for name in ["a", "b"] { try folder.draw("images/\(name).png", width: 20, height: 10) }
        let (few, many) = ("[8, 1, 9, 1, 9, 4, 8, 4]", "[1, 1, 5, 1, 5, 5, 1, 5]")
        try folder.addText(
            "annotations/instances_images.json",
            #"""
            {"images": [{"id": 1, "file_name": "a.png", "width": 20, "height": 10}, {"id": 2, "file_name": "b.png", "width": 20, "height": 10}],
            "categories": [], "annotations": [{"id": 1, "image_id": 1, "bbox": [1, 1, 8, 4], "segmentation": [\#(few), \#(many)]},
            {"id": 2, "image_id": 1, "bbox": [8, 1, 1, 3], "segmentation": [\#(few)]},
            {"id": 3, "image_id": 2, "bbox": [8, 1, 1, 3], "segmentation": [\#(few)]},
            {"id": 4, "image_id": 2, "bbox": [0, 0, 2, 2], "segmentation": {"size": [10, 20], "counts": [0, 5, 195]}}]}
            """#)
        try folder.addText(
            "manifest.jsonl",
            #"{"image": "images/a.png", "polygons": [[\#(many), \#(few)]]}"# + "\n" + #"{"image": "images/b.png"}"#)
        try folder.addText(
            "a.json",
            #"""
            {"imagePath": "images/a.png", "shapes": [{"label": "x", "group_id": 1, "points": [[8, 1], [9, 1], [9, 4], [8, 4]]},
            {"label": "x", "group_id": 1, "points": [[1, 1], [5, 1], [5, 5], [1, 5]]}]}
            """#)
        let coco = try folder.open("coco")
        #expect(try coco.sample(0).polygons == [large, small])
        #expect(try coco.sample(1).polygons == nil, "one of its instances has runs")
        #expect(try folder.open("manifest").sample(0).polygons == [large])
        #expect(try folder.open("manifest").sample(1).polygons == nil)
        let labelMe = try folder.open("labelme", annotations: ".")
        #expect(try labelMe.sample(0).polygons == [large])
    }
}
