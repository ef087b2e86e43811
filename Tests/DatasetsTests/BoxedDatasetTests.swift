import Datasets
import DatasetTestSupport
import Foundation
import Imaging
import Testing
import TestSupport

@Suite struct PolypDatasetTests {
    private func folder(_ boxes: String, masks: [String: [String]], type: String = "jpg") throws -> TemporaryFolder {
        let folder = try TemporaryFolder()
        for (name, rows) in masks {
            try folder.draw("images/\(name).jpg", width: rows[0].count, height: rows.count)
            try folder.draw("masks/\(name).jpg", rows)
        }
        try folder.addText("kavsir_bboxes.json", "{\(boxes)}")
        return folder
    }

    private func entry(_ name: String, _ boxes: [[Int]], width: Int = 32, height: Int = 32) -> String {
        let list = boxes.map {
            #"{"label": "polyp", "xmin": \#($0[0]), "ymin": \#($0[1]), "xmax": \#($0[2]), "ymax": \#($0[3])}"#
        }
        return #""\#(name)": {"height": \#(height), "width": \#(width), "bbox": [\#(list.joined(separator: ","))]}"#
    }

    /// A square of 9 x 9 pixels that starts at (3, 3) and one of 10 x 9 that starts at (18, 3), off the blocks of JPEG.
    private static let squares = (0..<32).map { y in
        String(
            (0..<32).map { x in (3..<12).contains(y) && ((3..<12).contains(x) || (18..<28).contains(x)) ? "#" : "." })
    }

    @Test func boxesMakeInstances() throws {
        let folder = try folder(
            entry("b", [[18, 3, 28, 12], [3, 3, 12, 12]]) + "," + entry("a", [[2, 2, 13, 13]]),
            masks: ["a": Self.squares, "b": Self.squares])
        let dataset = try folder.open("kvasir-seg")
        let read = try ReadDataset(dataset)
        #expect(read.ids == ["b", "a"], "in the order of the file")
        let first = try #require(read.samples[0].instances)
        #expect((0..<2).map(first.pixelCount) == [90, 81])
        #expect(read.samples[0].boxes == [Box(x0: 18, y0: 3, x1: 28, y1: 12), Box(x0: 3, y0: 3, x1: 12, y1: 12)])
        // The ringing around the square is within the box, but not foreground; the other square is in no box.
        let second = try #require(read.samples[1].instances)
        #expect(second.count == 1 && second.pixelCount(of: 0) == 81)
        #expect(second.box(of: 0) == Box(x0: 3, y0: 3, x1: 12, y1: 12))
        #expect(read.samples[1].boxes == [Box(x0: 2, y0: 2, x1: 13, y1: 13)])
        #expect(try #require(dataset.publishedSplit) == ([0, 1], []))

        let released = try ReadDataset(folder.open("kvasir-seg", rules: .released))
        #expect(try #require(released.samples[1].instances).pixelCount(of: 0) > 90, "its values ring")
    }

    @Test func splitIsFiveToOne() throws {
        let names = (0..<12).map { "n\($0)" }
        let folder = try folder(
            names.map { entry($0, [[0, 0, 8, 8]]) }.joined(separator: ","),
            masks: Dictionary(uniqueKeysWithValues: names.map { ($0, Self.squares) }))
        let dataset = try folder.open("kvasir-seg")
        #expect((0..<12).map(dataset.id) == names)
        #expect(dataset.publishedSplit?.evaluation == [5, 11])
    }

    /// Overlapping boxes keep their own pixels; by the released rules the later one takes them.
    @Test func overlaps() throws {
        let folder = try folder(
            entry("a", [[3, 3, 12, 12], [0, 0, 8, 32], [14, 14, 20, 20]]) + ","
                + entry("c", [[3, 3, 12, 12], [0, 0, 16, 16]]),
            masks: ["a": Self.squares, "c": Self.squares])
        let dataset = try folder.open("kvasir-seg")
        let masks = try #require(try dataset.sample(0).instances)
        #expect((0..<masks.count).map(masks.pixelCount) == [81, 45], "a box without foreground is left out")
        #expect(try dataset.sample(0).boxes?.count == 2)
        #expect(try dataset.instanceCount(1) == 2)

        let released = try folder.open("kvasir-seg", rules: .released)
        let error = #expect(throws: DatasetError.self) { try released.sample(1) }
        #expect(
            error?.code == .invalidAnnotation && error?.problem.hasPrefix("labelCount: 2 boxes, but 1 of them") == true)
    }

    @Test(arguments: [
        (#""a": {"width": 32, "bbox": []}"#, "missingKey: 'height' is missing"),
        (#""a": {"width": 0, "height": 32, "bbox": []}"#, "'width' is not a positive whole number"),
        (#""a": {"width": 32, "height": 32, "bbox": {}}"#, "'bbox' is not a list"),
        (#""a": {"width": 32, "height": 32, "bbox": [3]}"#, "a box that is not an object"),
        (#""a": {"width": 32, "height": 32, "bbox": [{"xmin": 1, "ymin": 1, "xmax": 5}]}"#, "a box without 'ymax'"),
        (
            #""a": {"width": 32, "height": 32, "bbox": [{"xmin": "1", "ymin": 1, "xmax": 5, "ymax": 5}]}"#,
            "'xmin' is not a coordinate"
        ),
        (#""a": {"width": 32, "height": 32, "bbox": [{"xmin": 5, "ymin": 1, "xmax": 5, "ymax": 5}]}"#, "is empty"),
        (#""a": {"width": 32, "height": 32, "bbox": [{"xmin": 40, "ymin": 1, "xmax": 50, "ymax": 5}]}"#, "is outside"),
        (#""../a": {"width": 32, "height": 32, "bbox": []}"#, "is not a file name"),
        (#""a": {"width": 32, "height": 32, "bbox": []}, "a": {}"#, "the key \"a\" again"),
        (#""a": []"#, "an image that is not an object"), ("", "no image"), (#""a": {"#, "the text ends too early"),
    ])
    func faultyLists(text: String, fault: String) throws {
        let folder = try folder(text, masks: ["a": Self.squares])
        if text.hasSuffix("{") { try folder.addText("kavsir_bboxes.json", "{" + text) }
        let error = #expect(throws: DatasetError.self) { try folder.open("kvasir-seg") }
        #expect(error?.code == .invalidAnnotation && error?.problem.contains(fault) == true, "\(error as Any)")
        #expect(error?.location.hasPrefix(folder.path + "/kavsir_bboxes.json") == true)
    }

    @Test func faultyFiles() throws {
        let folder = try folder(
            ["a", "b", "c", "d"].map { entry($0, [[0, 0, 9, 9]]) }.joined(separator: ",") + ","
                + entry("e", [[0, 0, 9, 9]], width: 31),
            masks: ["a": Self.squares, "b": Self.squares, "d": Self.squares, "e": Self.squares])
        try FileManager.default.removeItem(atPath: folder.path + "/masks/b.jpg")
        try folder.draw("masks/d.jpg", width: 16, height: 32)
        let dataset = try folder.open("kvasir-seg")
        #expect(try dataset.instanceCount(0) == 1)
        for (index, code) in [
            (1, DatasetError.Code.missingLabel), (2, .unreadableFile), (3, .sizeMismatch), (4, .sizeMismatch),
        ] {
            #expect(errorCode { _ = try dataset.sample(index) } == code)
            #expect(errorCode { _ = try dataset.instanceCount(index) } == code)
        }
        #expect(errorCode { _ = try folder.open("kvasir-seg", annotations: "none.json") } == .unreadableFile)
    }
}

@Suite struct SegmentAnythingDatasetTests {
    private func text(_ annotations: String) -> String {
        #"{"image": {"image_id": 1, "width": 6, "height": 4, "file_name": "sa_1.jpg"}, "annotations": [\#(annotations)]}"#
    }

    /// Runs go down the columns: nine pixels of background, then a square of 2 x 2.
    private let square =
        #"{"bbox": [2, 1, 1, 1], "area": 4, "segmentation": {"size": [4, 6], "counts": [9, 2, 2, 2, 9]}, "predicted_iou": 0.9}"#

    @Test func boxesAndRuns() throws {
        let folder = try TemporaryFolder()
        let empty = #"{"bbox": [1, 1, 2, 2], "segmentation": {"size": [4, 6], "counts": [24]}}"#
        let flat = #"{"bbox": [1, 1, 0, 2], "segmentation": {"size": [4, 6], "counts": [9, 2, 13]}}"#
        let over = #"{"bbox": [0, 0, 6.5, 4], "segmentation": {"size": [4, 6], "counts": "02f0"}}"#
        for (place, annotations) in [
            ("sa_000001/sa_20", square), ("sa_000001/sa_3", [empty, square, flat].joined(separator: ",")), ("sa_1", ""),
        ] {
            try folder.draw("SA/\(place).jpg", width: 6, height: 4)
            try folder.addText("SA/\(place).json", text(annotations))
        }
        try folder.addText("SA/license.txt", "")
        let dataset = try folder.open("sa-1b", in: "SA")
        let read = try ReadDataset(dataset)
        #expect(read.ids == ["sa_1", "sa_000001/sa_20", "sa_000001/sa_3"])
        let mask = ["......", "..##..", "..##..", "......"]
        #expect(read.masks == [[], [mask], [mask]])
        #expect(read.samples[2].boxes == [Box(x0: 2, y0: 1, x1: 3, y1: 2)], "the annotated box, not that of the mask")
        #expect(dataset.publishedSplit == nil)

        try folder.addText("SA/sa_1.json", text(over))
        let sample = try dataset.sample(0)
        #expect(sample.boxes == [Box(x0: 0, y0: 0, x1: 6, y1: 4)] && sample.instances?.pixelCount(of: 0) == 2)
    }

    @Test(arguments: [
        (#"{"image": {}}"#, DatasetError.Code.invalidAnnotation, "'annotations' is missing"),
        (#"[]"#, .invalidAnnotation, "annotations that are not an object"),
        (#"{"annotations": {}}"#, .invalidAnnotation, "'annotations' is not a list"),
        (#"{"annotations": [3]}"#, .invalidAnnotation, "an annotation that is not an object"),
        (#"{"annotations": [{"bbox": [1, 1, 2, 2]}]}"#, .invalidAnnotation, "'segmentation' is missing"),
        (
            #"{"annotations": [{"segmentation": {"size": [4, 6], "counts": [24]}}]}"#, .invalidAnnotation,
            "'bbox' is missing"
        ),
        (#"{"annotations": [{"bbox": [1, 1, 2]}]}"#, .invalidAnnotation, "'bbox' is not [x, y, width, height]"),
        (
            #"{"annotations": [{"bbox": [1, 1, 2, 2], "segmentation": {"size": [6, 4], "counts": [24]}}]}"#,
            .invalidAnnotation, "the runs are 4x6, the image 6x4"
        ),
        (
            #"{"annotations": [{"bbox": [1, 1, 2, 2], "segmentation": {"size": [4, 6], "counts": [25]}}]}"#,
            .invalidAnnotation, "more than the 24 pixels"
        ),
        (
            #"{"annotations": [{"bbox": [9, 1, 2, 2], "segmentation": {"size": [4, 6], "counts": [24]}}]}"#,
            .invalidAnnotation, "is outside the image"
        ),
        (#"{"annotations": ["#, .invalidAnnotation, "the text ends too early"),
    ])
    func faultyAnnotations(text: String, code: DatasetError.Code, fault: String) throws {
        let folder = try TemporaryFolder()
        try folder.draw("SA/sa_1.jpg", width: 6, height: 4)
        try folder.addText("SA/sa_1.json", text)
        let dataset = try folder.open("sa-1b", in: "SA")
        let error = #expect(throws: DatasetError.self) { try dataset.sample(0) }
        #expect(error?.code == code && error?.problem.contains(fault) == true, "\(error as Any)")
        #expect(error?.location.hasPrefix(folder.path + "/SA/sa_1.json") == true)
        #expect(errorCode { _ = try dataset.instanceCount(0) } == code)
    }

    @Test func imagesWithoutAnnotations() throws {
        let folder = try TemporaryFolder()
        #expect(errorCode { _ = try folder.open("sa-1b") } == .emptyDataset)
        try folder.draw("SA/sa_1.jpg", width: 6, height: 4)
        let dataset = try folder.open("sa-1b", in: "SA")
        #expect(errorCode { _ = try dataset.sample(0) } == .missingLabel)
        #expect(dataset.fingerprint(0).hasSuffix("+-"))
        #expect(errorCode { _ = try folder.open("sa-1b", in: "none") } == .missingFolder)
    }
}

@Suite struct RelabelledCOCOTests {
    private let annotations = #"""
        {"images": [{"id": 7, "file_name": "7.jpg", "width": 4, "height": 3}], "categories": [],
        "annotations": [{"id": 1, "image_id": 7, "bbox": [0, 0, 2, 2], "segmentation": [[0, 0, 2, 0, 2, 2, 0, 2]]}]}
        """#

    @Test(arguments: ["annotations", "coconut_dataset/annotations/annotations"]) func bothPlaces(place: String) throws {
        let folder = try TemporaryFolder()
        try folder.draw("coconut/val2017/7.jpg")
        try folder.addText("coconut/\(place)/relabeled_instances_val.json", annotations)
        let dataset = try folder.open("coconut", in: "coconut")
        #expect(try ReadDataset(dataset).masks == [[["##..", "##..", "...."]]])
        #expect(try #require(dataset.publishedSplit) == ([0], []))
        try folder.addText("coconut/other.json", annotations.replacing("2, 2, 0, 2", with: "2, 1, 0, 1"))
        let other = try folder.open("coconut", in: "coconut", annotations: "other.json")
        #expect(try ReadDataset(other).masks == [[["##..", "....", "...."]]])
    }

    @Test func missingAnnotations() throws {
        let folder = try TemporaryFolder()
        try folder.draw("coconut/val2017/7.jpg")
        #expect(errorCode { _ = try folder.open("coconut", in: "coconut") } == .unreadableFile)
    }
}
