import Datasets
import DatasetTestSupport
import Foundation
import Testing
import TestSupport

/// The domains of the CoSAM benchmark in the layouts of their authors.
@Suite struct ContinualDatasetTests {
    /// Two defects that touch at no corner, and a speck of three pixels.
    private static let two = [
        "####......", "####......", "####......", "......####", "......####", "......####", "##........", "#.........",
    ]
    private static let first = [
        "####......", "####......", "####......", "..........", "..........", "..........", "..........", "..........",
    ]
    private static let second = [
        "..........", "..........", "..........", "......####", "......####", "......####", "..........", "..........",
    ]
    private static let none = [String](repeating: "..........", count: 8)

    private func polygon(_ points: String, kind: String = "polygon") -> String {
        #"{"label": "Pitting", "points": [\#(points)], "group_id": null, "shape_type": "\#(kind)", "flags": {}}"#
    }

    private func wear(_ names: [(String, [String])]) throws -> TemporaryFolder {
        let folder = try TemporaryFolder()
        for (name, polygons) in names {
            try folder.draw("B/data/\(name).jpg", width: 10, height: 8)
            let shapes = polygons.map { polygon($0) }.joined(separator: ", ")
            try folder.addText(
                "B/label/\(name).json",
                #"{"shapes": [\#(shapes)], "imagePath": "..\\elsewhere\\\#(name).jpg", "imageHeight": 8, "imageWidth": 10}"#
            )
        }
        // Not annotated, whatever its name says.
        try folder.draw("B/data/01_200828_crop_1.jpg", width: 10, height: 8)
        return folder
    }

    @Test func spindles() throws {
        let folder = try wear([
            ("b", ["[0, 0], [4, 0], [4, 3], [0, 3]", "[6, 3], [10, 3], [10, 6], [6, 6]"]),
            ("a", ["[0, 0], [4, 0], [4, 3], [0, 3]"]),
            ("c", ["[0, 0], [2, 0], [2, 2], [0, 2]"]),
        ])
        let dataset = try folder.open("bsdata", in: "B")
        let read = try ReadDataset(dataset)
        #expect(read.ids == ["a", "b#1", "b#2"], "the polygon of four pixels in c gives no sample")
        #expect(read.masks == [[Self.first], [Self.first], [Self.second]])
        #expect((0..<3).map(dataset.imageNumber) == [0, 1, 1])
        #expect(dataset.files(2) == ["data/b.jpg", "label/b.json"])
        let single = try #require(dataset as? SingleMaskDataset)
        #expect(
            single.specks.map { "\($0.image) \($0.mask) \($0.pixels)" } == ["c 1 4"]
                && single.imagesWithoutMask == ["c"])
        #expect(single.imageCount == 3)
        let whole = try folder.options(samples: .image, in: "B").open("bsdata")
        #expect(try ReadDataset(whole).masks.map(\.count) == [1, 2, 1])
    }

    @Test func partsOfSpindles() throws {
        let square = ["[0, 0], [4, 0], [4, 3], [0, 3]"]
        let folder = try wear((0..<10).map { ("n\($0)", $0 == 4 ? square + square : square) })
        let drawn = try #require(try folder.open("bsdata", in: "B").publishedSplit)
        #expect(drawn.evaluation.count == (drawn.evaluation.contains(4) ? 3 : 2))
        #expect(Set(drawn.training).isDisjoint(with: drawn.evaluation))
        #expect((drawn.training + drawn.evaluation).sorted() == Array(0..<11))
        #expect(drawn.training.contains(4) == drawn.training.contains(5), "one image")
        func list(_ count: Int) throws {
            let rows = (0..<count).map {
                #"{"filename": "n\#($0).jpg", "train_test_split": "\#($0 < 7 ? "train" : "test")", "type": 2}"#
            }
            try folder.addText("B/image_data.json", #"{"images": [\#(rows.joined(separator: ","))]}"#)
        }
        try list(10)
        #expect(try #require(try folder.open("bsdata", in: "B").publishedSplit) == (Array(0..<8), [8, 9, 10]))
        try list(9)
        #expect(errorCode { _ = try folder.open("bsdata", in: "B") } == .invalidAnnotation)
        try folder.addText("B/image_data.json", #"{"images": [{"#)
        #expect(errorCode { _ = try folder.open("bsdata", in: "B") } == .invalidAnnotation)
    }

    @Test(arguments: [("rsdds-1", "I"), ("rsdds-2", "II")]) func rails(format: String, type: String) throws {
        let folder = try TemporaryFolder()
        let place = "Type-\(type) RSDDs dataset"
        for name in ["rail_1", "rail_10", "rail_2"] {
            try folder.draw("R/\(place)/Rail surface images/\(name).jpg", width: 40, height: 64)
            let rows = (0..<64).map { row in
                String((0..<40).map { (row / 16 % 2 == 0 && $0 < 24) ? "#" : "." })
            }
            try folder.draw("R/\(place)/GroundTruth/\(name).jpg", rows)
        }
        let dataset = try folder.open(format, in: "R")
        #expect(
            (0..<dataset.count).map(dataset.id)
                == ["rail_1#1", "rail_1#2", "rail_10#1", "rail_10#2", "rail_2#1", "rail_2#2"])
        for index in 0..<dataset.count {
            let masks = try #require(try dataset.sample(index).instances)
            #expect(masks.count == 1 && masks.pixelCount(of: 0) == 24 * 16, "half of white is the rim of a JPEG mask")
            #expect(try dataset.masks(index) == masks)
        }
        let split = try #require(dataset.publishedSplit)
        #expect(split.evaluation.isEmpty && split.training.count == 6, "three images: four fifths round up to all")
        let other = type == "I" ? "rsdds-2" : "rsdds-1"
        #expect(errorCode { _ = try folder.open(other, in: "R") } == .missingFolder)
    }

    @Test func products() throws {
        let folder = try TemporaryFolder()
        for category in ["bottle", "hazelnut", "screw"] {
            for (defect, name) in [("crack", "001"), ("crack", "000"), ("cut", "000"), ("good", "000")] {
                try folder.draw("M/\(category)/test/\(defect)/\(name).png", width: 10, height: 8)
                guard defect != "good" else { continue }
                try folder.draw(
                    "M/\(category)/ground_truth/\(defect)/\(name)_mask.png", name == "001" ? Self.two : Self.first)
            }
            try folder.draw("M/\(category)/train/good/000.png", width: 10, height: 8)
        }
        let dataset = try folder.open("mvtec-3", in: "M")
        let read = try ReadDataset(dataset)
        let expected = ["crack/000", "crack/001#1", "crack/001#2", "cut/000"]
        #expect(read.ids == ["bottle", "hazelnut"].flatMap { category in expected.map { category + "/" + $0 } })
        #expect(read.masks[..<4] == [[Self.first], [Self.first], [Self.second], [Self.first]])
        #expect(
            dataset.files(1) == ["bottle/test/crack/001.png", "bottle/ground_truth/crack/001_mask.png"])
        let split = try #require(dataset.publishedSplit)
        #expect((split.training + split.evaluation).sorted() == Array(0..<8) && split.evaluation.count < 3)
        #expect(try folder.open("mvtec-ad", in: "M").count == 12)
        #expect(errorCode { _ = try folder.open("mvtec-1", in: "M") } == .missingFolder)
        try FileManager.default.removeItem(atPath: folder.path + "/M/bottle/ground_truth/cut/000_mask.png")
        let faulty = try folder.open("mvtec-3", in: "M")
        #expect(faulty.count == 8 && faulty.id(3) == "bottle/cut/000")
        #expect(errorCode { _ = try faulty.sample(3) } == .missingLabel)
    }

    @Test func flatPolyps() throws {
        let folder = try TemporaryFolder()
        let rows = (0..<32).map { row in String((0..<40).map { (row < 8 || row > 15) && $0 < 16 ? "#" : "." }) }
        for name in ["c", "a", "b"] {
            try folder.draw("K/Kvasir-SEG/images/\(name).jpg", width: 40, height: 32)
            try folder.draw("K/Kvasir-SEG/masks/\(name).jpg", rows)
        }
        try folder.draw("K/sessile-main-Kvasir-SEG/images/b.jpg", width: 40, height: 32)
        let dataset = try folder.open("kvasir-sessile", in: "K")
        let read = try ReadDataset(dataset)
        #expect(read.ids == ["a", "c", "b"] && read.masks.allSatisfy { $0.count == 1 })
        #expect(read.samples[0].instances?.pixelCount(of: 0) == 24 * 16, "both polyps")
        #expect(try #require(dataset.publishedSplit) == ([0, 1], [2]))
        try folder.draw("K/sessile-main-Kvasir-SEG/images/d.jpg", width: 40, height: 32)
        #expect(errorCode { _ = try folder.open("kvasir-sessile", in: "K") } == .missingLabel)
    }

    /// The largest instance that is no crowd, of each image that has one: Natural of the benchmark.
    @Test func largestInstances() throws {
        let folder = try TemporaryFolder()
        for name in ["a", "b"] { try folder.draw("images/\(name).png", width: 10, height: 8) }
        try folder.addText(
            "annotations/instances_images.json",
            #"""
            {"images": [{"id": 1, "file_name": "a.png", "width": 10, "height": 8},
            {"id": 2, "file_name": "b.png", "width": 10, "height": 8}], "categories": [], "annotations": [
            {"id": 1, "image_id": 1, "iscrowd": 0, "bbox": [0, 0, 2, 2], "segmentation": [[0, 0, 2, 0, 2, 2, 0, 2]]},
            {"id": 2, "image_id": 1, "iscrowd": 0, "bbox": [6, 3, 4, 3], "segmentation": [[6, 3, 10, 3, 10, 6, 6, 6]]},
            {"id": 3, "image_id": 1, "iscrowd": 1, "bbox": [0, 0, 10, 8], "segmentation": [[0, 0, 10, 0, 10, 8, 0, 8]]}]}
            """#)
        let dataset = try folder.options(samples: .largest).open("coco")
        let read = try ReadDataset(dataset)
        #expect(read.ids == ["a", "b"] && read.masks == [[Self.second], []])
        #expect(read.samples[0].boxes == [Box(x0: 6, y0: 3, x1: 10, y1: 6)])
        let whole = try ReadDataset(folder.options(samples: .whole).open("coco"))
        #expect(whole.samples[0].instances?.pixelCount(of: 0) == 16 && whole.masks.map(\.count) == [1, 0])
        let each = try folder.options(samples: .instance).open("coco")
        #expect(each.count == 1 && each.id(0) == "a", "the instance of four pixels is too small, b has none")
    }

    /// Samples of one image are on one side of any split, and a limit counts images.
    @Test func splitsKeepImagesTogether() throws {
        let folder = try TemporaryFolder()
        for name in 0..<10 {
            try folder.draw("images/\(name).png", width: 10, height: 8)
            try folder.draw("labels/\(name).png", name % 2 == 0 ? Self.two : Self.first)
        }
        let dataset = try folder.options(samples: .instance).open("folder-components")
        #expect(dataset.count == 15)
        for seed in 0..<4 {
            let (training, evaluation) = KToOneSplit(k: 4, seed: UInt64(seed)).apply(to: dataset)
            let sides = [training, evaluation].map { Set($0.map(dataset.imageNumber)) }
            #expect(sides[0].isDisjoint(with: sides[1]) && sides.map(\.count) == [8, 2])
            #expect((training + evaluation).sorted() == Array(0..<15))
        }
        let limited = KToOneSplit(k: 1, limit: 2).apply(to: dataset)
        #expect(limited == ([0, 1], [2]))
    }
}

extension TemporaryFolder {
    /// Options with what one sample is.
    fileprivate func options(samples: SampleUnit, in place: String? = nil) -> DatasetOptions {
        var options = DatasetOptions(root: place.map { path + "/" + $0 } ?? path)
        options.samples = samples
        return options
    }
}

extension DatasetOptions {
    fileprivate func open(_ format: String) throws -> any SegmentationDataset {
        try DatasetRegistry.open(format, self)
    }
}
