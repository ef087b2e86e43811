import Datasets
import DatasetTestSupport
import Foundation
import Imaging
import Testing
import TestSupport

extension TemporaryFolder {
    /// Records and rules that a check of the data set finds.
    func check(_ format: String, annotations: String? = nil) throws -> [String] {
        let report = try #require(try AnnotationCheck.run(format: format, options(annotations: annotations)))
        return report.faults.map { "\($0.record ?? "-") \($0.rule.rawValue)" }
    }
}

@Suite struct COCODatasetTests {
    @Test func namesFromFilesStayOnOneLine() {
        let error = DatasetError(.unreadableFile, at: "a\nb\u{7f}.png", "is\tgone", remedy: "add it")
        #expect(error.description == "a\\nb\\u{7f}.png: is\\tgone; add it")
    }

    /// Its magnitude does not fit an Int.
    @Test func theLeastWholeNumberIsAFault() throws {
        let folder = try TemporaryFolder()
        try folder.addText(
            "annotations/instances_images.json",
            #"""
            {"images": [{"id": -9223372036854775808, "file_name": "a.jpg", "width": 20, "height": 10}], "annotations": [],
            "categories": []}
            """#)
        #expect(try !folder.check("coco").isEmpty)
        #expect(errorCode { _ = try folder.open("coco") } == .invalidAnnotation)
    }

    private func folder(_ annotations: String, images: String = "") throws -> TemporaryFolder {
        let folder = try TemporaryFolder()
        try folder.addImage("a.jpg", width: 20, height: 10)
        try folder.addImage("b.png", width: 8, height: 8)
        try folder.addText(
            "annotations/instances_images.json",
            #"""
            {"images": [{"id": 2, "file_name": "a.jpg", "width": 20, "height": 10},
            {"id": 1, "file_name": "b.png", "width": 8, "height": 8}\#(images)], "annotations": [\#(annotations)],
            "categories": []}
            """#)
        return folder
    }

    @Test func corrected() throws {
        let folder = try folder(
            #"""
            {"id": 1, "image_id": 2, "bbox": [1, 1, 4, 4], "segmentation": [[1, 1, 5, 1, 5, 5, 1, 5]]},
            {"id": 2, "image_id": 2, "bbox": [-0.5, 2, 40, 5], "segmentation": [[0, 2, 9, 2, 9, 7], [12, 3, 19, 3, 19, 6]]},
            {"id": 3, "image_id": 2, "bbox": [1, 1, 4, 4], "iscrowd": 1, "segmentation": {"size": [10, 20], "counts": [190, 10]}},
            {"id": 4, "image_id": 2, "bbox": [1, 1, 4, 0], "segmentation": [[1, 1, 5, 1, 5, 5, 1, 5]]},
            {"id": 5, "image_id": 2, "bbox": [1, 1, 0.1, 0.1], "segmentation": [[1, 1, 1.1, 1, 1.1, 1.1]]}
            """#)
        let dataset = try folder.open("coco")
        #expect((0..<2).map(dataset.id) == ["b", "a"])
        #expect(try (0..<2).map(dataset.instanceCount) == [0, 2])
        let sample = try dataset.sample(1)
        #expect(sample.instances?.count == 2 && sample.instances?.pixelCount(of: 0) == 16)
        #expect(sample.boxes == [Box(x0: 1, y0: 1, x1: 5, y1: 5), Box(x0: 0, y0: 2, x1: 20, y1: 7)])
        #expect(try dataset.sample(0).instances?.count == 0)
        #expect(try folder.check("coco") == ["annotation 2 clippedBox", "annotation 4 emptyBox"])
    }

    @Test func released() throws {
        let square = #""segmentation": [[0, 0, 11, 0, 11, 10, 0, 10]]"#
        let small = #""segmentation": [[1, 1, 5, 1, 5, 5, 1, 5]]"#
        let folder = try folder(
            #"""
            {"id": 1, "image_id": 2, "bbox": [1, 1, 0, 4], \#(square)}, {"id": 2, "image_id": 2, "bbox": [1, 1, 4, 0], \#(small)},
            {"id": 3, "image_id": 2, "bbox": [1, 1, 4, 0], \#(square)},
            {"id": 4, "image_id": 2, "bbox": [-5, 1, 40, 4], "iscrowd": 1, \#(small)}
            """#)
        let sample = try folder.open("coco", rules: .released).sample(1)
        #expect(sample.boxes == [Box(x0: 1, y0: 1, x1: 5, y1: 1), Box(x0: -5, y0: 1, x1: 35, y1: 5)])
        #expect(try folder.open("coco").instanceCount(1) == 0)

        let many = (1...160).map { #"{"id": \#($0), "image_id": 2, "bbox": [1, 1, 4, 4], \#(small)}"# }
        let crowded = try self.folder(many.joined(separator: ","))
        #expect(try crowded.open("coco", rules: .released).instanceCount(1) == 151)
        #expect(try crowded.open("coco").sample(1).instances?.count == 160)
    }

    @Test func boxesAlone() throws {
        let folder = try folder(
            #"""
            {"id": 1, "image_id": 2, "bbox": [1, 1, 4, 4]}, {"id": 2, "image_id": 2, "bbox": [2, 2, 5, 5], "segmentation": []},
            {"id": 3, "image_id": 1, "bbox": [1, 1, 4, 4]}, {"id": 4, "image_id": 1, "segmentation": [[1, 1, 5, 1, 5, 5, 1, 5]]}
            """#)
        let dataset = try folder.open("coco")
        let sample = try dataset.sample(1)
        #expect(sample.instances == nil && sample.boxes?.count == 2 && sample.instanceCount == 2)
        #expect(try dataset.sample(0).boxes == [Box(x0: 1, y0: 1, x1: 5, y1: 5), Box(x0: 1, y0: 1, x1: 5, y1: 5)])
        #expect(try dataset.sample(0).instances == nil)
        #expect(try folder.check("coco") == ["image 1 partialLabels"])
    }

    @Test func faultyImages() throws {
        let folder = try folder("", images: #", {"id": 3, "file_name": "c.png", "width": 5, "height": 5}"#)
        #expect(try folder.check("coco") == ["image 3 imageFile"])
        try folder.addText("images/c.png", "no image")
        #expect(errorCode { _ = try folder.open("coco").sample(2) } == .unreadableFile)
        #expect(errorCode { _ = try folder.open("coco").instanceCount(2) } == .unreadableFile)
        #expect(errorCode { _ = try folder.open("coco", annotations: "../x.json") } == .invalidOption)
        try folder.addImage("c.png", width: 5, height: 4)
        #expect(try folder.check("coco") == ["image 3 imageSize"])
        #expect(errorCode { _ = try folder.open("coco").sample(2) } == .sizeMismatch)
        #expect(errorCode { _ = try folder.open("coco", annotations: "none.json") } == .unreadableFile)
        try FileManager.default.removeItem(atPath: folder.path + "/images/c.png")
        try FileManager.default.createSymbolicLink(
            atPath: folder.path + "/images/c.png", withDestinationPath: "/etc/hostname")
        #expect(errorCode { _ = try folder.open("coco").sample(2) } == .outsideRoot)
        #expect(try folder.check("coco") == ["image 3 imageFile"])
    }

    @Test func imagesWithoutInstances() throws {
        let folder = try folder(#"{"id": 1, "image_id": 2, "bbox": [1, 1, 4, 4], "iscrowd": 1}"#)
        let dataset = try folder.open("coco")
        #expect(try (0..<2).map(dataset.instanceCount) == [0, 0])
        let fingerprints = (0..<2).map(dataset.fingerprint)
        #expect(Set(fingerprints).count == 2 && fingerprints[1].hasPrefix("a ") && fingerprints[1].count < 40)
        try folder.addText("x.json", #"{"images": [], "annotations": []}"#)
        #expect(errorCode { _ = try folder.open("coco", annotations: "x.json") } == .emptyDataset)
    }
}

@Suite struct LabelMeDatasetTests {
    private func file(
        _ shapes: String, image: String = "images/a.png", size: String = #""imageWidth": 20, "imageHeight": 10"#
    )
        -> String
    {
        #"{"version": "5.0", "flags": {}, "shapes": [\#(shapes)], "imagePath": "\#(image)", "imageData": "AAAA", \#(size)}"#
    }

    private func folder(_ files: [String: String]) throws -> TemporaryFolder {
        let folder = try TemporaryFolder()
        try folder.addImage("a.png", width: 20, height: 10)
        for (name, text) in files { try folder.addText(name, text) }
        return folder
    }

    @Test func masks() throws {
        let folder = try folder([
            "a.json": file(
                #"""
                {"label": "cell", "points": [[1, 1], [5, 1], [5, 5], [1, 5]], "group_id": null, "shape_type": "polygon", "flags": {}},
                {"label": "cell", "points": [[10, 5], [13, 5]], "group_id": 1, "shape_type": "circle", "flags": {}},
                {"label": "cell", "points": [[14, 1], [18, 1], [18, 3], [14, 3]], "group_id": 1},
                {"label": "wall", "points": [[0, 8], [20, 8], [20, 10], [0, 10]], "group_id": 1}
                """#)
        ])
        let dataset = try folder.open("labelme")
        let sample = try dataset.sample(0)
        let masks = try #require(sample.instances)
        #expect(sample.id == "a" && masks.count == 3 && sample.boxes == nil && sample.points == nil)
        #expect((0..<3).map(masks.pixelCount) == [16, 32 + 8, 40])
        #expect(masks.box(of: 1) == Box(x0: 7, y0: 1, x1: 18, y1: 8))
        #expect(try dataset.instanceCount(0) == 3)
        #expect(try folder.check("labelme") == [])
    }

    @Test func boxesAndPoints() throws {
        let rectangle = #"{"label": "a", "points": [[9, 8], [2.5, 3]], "shape_type": "rectangle", "group_id": 4}"#
        let point = #"{"label": "a", "points": [[3.7, 20.0]], "shape_type": "point", "group_id": 4}"#
            .replacing("20.0", with: "10")
        let off =
            #"{"label": "a", "points": [[0, 0.2]], "shape_type": "point", "group_id": 4, "flags": {"background": true}}"#
        let polygon = #"{"label": "a", "points": [[1, 1], [5, 1], [5, 5], [1, 5]]}"#
        let folder = try folder([
            "labels/1.json": file(rectangle, image: "../images/a.png"),
            "labels/2.json": file("\(rectangle), \(point), \(off)", image: #"..\\images\\a.png"#),
            "labels/3.json": file("\(point), \(off)", image: "../images/a.png", size: #""imageWidth": null"#),
            "labels/4.json": file("\(rectangle), \(polygon)", image: "../images/a.png"),
            "labels/5.json": file("", image: "../images/a.png"),
        ])
        let samples = try (0..<5).map { try folder.open("labelme", annotations: "labels").sample($0) }
        let box = Box(x0: 2.5, y0: 3, x1: 9, y1: 8)
        let points = [LabelledPoint(x: 3, y: 9, isForeground: true), LabelledPoint(x: 0, y: 0, isForeground: false)]
        #expect(samples.map(\.boxes) == [[box], [box], nil, [box, Box(x0: 1, y0: 1, x1: 5, y1: 5)], nil])
        #expect(samples.map(\.points) == [nil, [points], [points], nil, nil])
        #expect(samples.map(\.instances?.count) == [nil, nil, nil, nil, 0])
        #expect(samples.map(\.instanceCount) == [1, 1, 1, 2, 0])
        let expected = [String](repeating: "- duplicateImage", count: 4) + ["- partialLabels"]
        #expect(try folder.check("labelme", annotations: "labels").sorted() == expected)
    }

    @Test(arguments: [
        (#"{"label": "a", "points": [[1, 1], [5, 1]]}"#, "shapes[0] shortPolygon"),
        (#"{"label": "a", "points": [[1, 1], [5, 1], [5, NaN]]}"#, "shapes[0] notFinite"),
        (#"{"label": "a", "points": [[1, 1], [5, 1, 2], [5, 5]]}"#, "shapes[0] wrongType"),
        (#"{"label": "a", "points": [1, 1, 5, 1, 5, 5]}"#, "shapes[0] wrongType"),
        (#"{"label": "a"}"#, "shapes[0] missingKey"), (#"7"#, "shapes[0] wrongType"),
        (#"{"label": 3, "points": [[1, 1], [5, 1], [5, 5]]}"#, "shapes[0] wrongType"),
        (#"{"label": "a", "points": [[1, 1], [5, 1], [5, 5]], "shape_type": "line"}"#, "shapes[0] unsupportedShape"),
        (#"{"label": "a", "points": [[1, 1], [5, 1]], "shape_type": "point"}"#, "shapes[0] badValue"),
        (#"{"label": "a", "points": [[1, 1], [1, 5]], "shape_type": "rectangle"}"#, "shapes[0] badBox"),
        (#"{"label": "a", "points": [[21, 1], [25, 5]], "shape_type": "rectangle"}"#, "shapes[0] badBox"),
        (#"{"label": "a", "points": [[21, 1]], "shape_type": "point"}"#, "shapes[0] badPoint"),
        (#"{"label": "a", "points": [[2, 1], [2, 1]], "shape_type": "circle"}"#, "shapes[0] badValue"),
        (#"{"label": "a", "points": [[1, 1], [5, 1]}"#, "shapes[0] syntax"),
        (
            #"{"label": "a", "points": [[1, 1]], "shape_type": "point"}, {"points": [[1, 1], [3, 3]], "shape_type": "rectangle"}"#,
            "- noLabel"
        ),
    ])
    func faultyShapes(shapes: String, fault: String) throws {
        let folder = try folder(["a.json": file(shapes)])
        #expect(try folder.check("labelme") == [fault])
        #expect(errorCode { _ = try folder.open("labelme").sample(0) } == .invalidAnnotation)
        #expect(errorCode { _ = try folder.open("labelme").instanceCount(0) } == .invalidAnnotation)
    }

    @Test func faultyFiles() throws {
        func fault(_ text: String) throws -> [String] { try folder(["a.json": text]).check("labelme") }
        #expect(try fault("{}") == ["- missingKey", "- missingKey"])
        #expect(try fault(file("", image: "images/none.png")) == ["- imageFile"])
        #expect(try fault(file("", image: "/images/a.png")) == ["- path"])
        #expect(try fault(file("", image: "../a.png")) == ["- path"])
        #expect(try fault(file("", size: #""imageWidth": 10, "imageHeight": 20"#)) == ["- imageSize"])
        #expect(try fault(file("", size: #""imageWidth": 0, "imageHeight": 20"#)) == ["- wrongType"])
        #expect(try fault(String(file("").dropLast(3))) == ["- truncated"])
        let turned = try folder(["a.json": file("", size: #""imageWidth": 10, "imageHeight": 20"#)])
        #expect(errorCode { _ = try turned.open("labelme").sample(0) } == .sizeMismatch)
        #expect(errorCode { _ = try folder([:]).open("labelme") } == .emptyDataset)
        let twins = try folder(["a.json": file(""), "a.JSON": file("", image: "images/b.png")])
        #expect(errorCode { _ = try twins.open("labelme") } == .ambiguousName)
        #expect(try twins.check("labelme").first == "- duplicateImage")
        #expect(errorCode { _ = try folder([:]).open("labelme", annotations: "none") } == .missingFolder)
    }
}

@Suite struct ManifestDatasetTests {
    private func folder(_ lines: String...) throws -> TemporaryFolder {
        let folder = try TemporaryFolder()
        for name in ["a.png", "b.png", "c.png", "d.png", "e.png"] { try folder.addImage(name, width: 20, height: 10) }
        try folder.addLabel("a.png", width: 20, height: 10, [0: 7, 21: 300])
        try folder.addText("manifest.jsonl", lines.joined(separator: "\n"))
        return folder
    }

    @Test func allKindsOfLabels() throws {
        let folder = try folder(
            #"{"image": "images/b.png", "boxes": [[1, 2, 3.5, 4], [0, 0, 21, 10]]}"#, "", "\r",
            #"{"image": "./images/a.png", "mask": "labels/a.png", "boxes": [[0, 0, 1, 1], [1, 1, 2, 2]], "width": 20, "height": 10}"#
                + "\r",
            #"{"image": "images/c.png", "points": [[[1, 2, 1], [3, 4.5, 0]]]}"#,
            #"{"image": "images/d.png", "polygons": [[[1, 1, 5, 1, 5, 5, 1, 5], [8, 1, 9, 1, 9, 4, 8, 4]]], "points": [[]]}"#,
            #"{"image": "images/e.png"}"#)
        let dataset = try folder.open("manifest")
        #expect((0..<dataset.count).map(dataset.id) == ["b", "a", "c", "d", "e"].map { "images/" + $0 })
        let samples = try (0..<5).map(dataset.sample)
        #expect(samples[0].boxes == [Box(x0: 1, y0: 2, x1: 3.5, y1: 4), Box(x0: 0, y0: 0, x1: 20, y1: 10)])
        #expect(samples[1].instances?.count == 2 && samples[1].boxes?.count == 2)
        #expect(samples[2].points?.map(\.count) == [2] && samples[2].instances == nil)
        #expect(samples[3].instances?.pixelCount(of: 0) == 19 && samples[3].points == nil)
        #expect(samples[4].instanceCount == 0 && samples[4].instances == nil)
        #expect(try (0..<5).map(dataset.instanceCount) == samples.map(\.instanceCount))
        #expect(try folder.check("manifest") == [])
        let binarised = try folder.open("manifest", binarise: 0)
        #expect(errorCode { _ = try binarised.sample(1) } == .invalidAnnotation, "one mask, two boxes")
    }

    @Test func pathsAreRelativeToTheManifest() throws {
        let folder = try folder("")
        try folder.addText("lists/all.jsonl", #"{"image": "../images/a.png", "mask": "../labels/a.png"}"#)
        #expect(try folder.open("manifest", annotations: "lists/all.jsonl").sample(0).instances?.count == 2)
    }

    @Test(arguments: [
        (#"{"image": "images/a.png", "box": [[1, 2, 3, 4]]}"#, "line 1 unknownKey"),
        (#"{"boxes": []}"#, "line 1 missingKey"), (#"{"image": 3}"#, "line 1 wrongType"), (#"[]"#, "line 1 wrongType"),
        (#"{"image": "/images/a.png"}"#, "line 1 path"), (#"{"image": "../a.png"}"#, "line 1 path"),
        (#"{"image": "images/a.png", "mask": "../../a.png"}"#, "line 1 path"),
        (#"{"image": "images/a.png", "image": "images/b.png"}"#, "line 1 duplicateKey"),
        (#"{"image": "images/a.png"} {"image": "images/b.png"}"#, "line 1 syntax"),
        (#"{"image": "images/a.png", "#, "line 1 truncated"),
        (#"{"image": "images/a.png", "boxes": [[1, 2, 3]]}"#, "line 1 wrongType"),
        (#"{"image": "images/a.png", "boxes": [[3, 2, 3, 4]]}"#, "line 1 badBox"),
        (#"{"image": "images/a.png", "boxes": [[3, 2, NaN, 4]]}"#, "line 1 notFinite"),
        (#"{"image": "images/a.png", "points": [[1, 2, 1]]}"#, "line 1 wrongType"),
        (#"{"image": "images/a.png", "points": [[[1, 2]]]}"#, "line 1 wrongType"),
        (#"{"image": "images/a.png", "points": [[[1, 2, 3]]]}"#, "line 1 badValue"),
        (#"{"image": "images/a.png", "polygons": [[[1, 2, 3, 4, 5]]]}"#, "line 1 oddPolygon"),
        (#"{"image": "images/a.png", "polygons": [[]]}"#, "line 1 wrongType"),
        (#"{"image": "images/a.png", "width": 20}"#, "line 1 missingKey"),
        (#"{"image": "images/a.png", "boxes": [[1, 1, 2, 2]], "points": []}"#, "line 1 labelCount"),
        (#"{"image": "images/a.png", "mask": "labels/a.png", "polygons": []}"#, "line 1 labelCount"),
    ])
    func faultyLines(line: String, fault: String) throws {
        let folder = try folder(line, #"{"image": "images/b.png"}"#)
        #expect(try folder.check("manifest").filter { $0.hasPrefix("line 1") }.prefix(2) == [fault])
        #expect(errorCode { _ = try folder.open("manifest").instanceCount(0) } == .invalidAnnotation)
    }

    @Test(arguments: [
        (
            #"{"image": "images/a.png", "boxes": [[20, 1, 24, 4]]}"#, "line 1 badBox",
            DatasetError.Code.invalidAnnotation
        ),
        (#"{"image": "images/a.png", "points": [[[20, 1, 1]]]}"#, "line 1 badPoint", .invalidAnnotation),
        (#"{"image": "images/bad.png"}"#, "line 1 imageFile", .unreadableFile),
        (#"{"image": "images/a.png", "mask": "labels/bad.png"}"#, "line 1 imageFile", .unreadableFile),
        (#"{"image": "images/a.png", "width": 10, "height": 20}"#, "line 1 imageSize", .sizeMismatch),
        (#"{"image": "images/a.png", "points": [[]]}"#, "line 1 noLabel", .invalidAnnotation),
    ])
    func faultsThatNeedTheImage(line: String, fault: String, code: DatasetError.Code) throws {
        let folder = try folder(line)
        for name in ["images/bad.png", "labels/bad.png"] { try folder.addText(name, "no image") }
        #expect(try folder.check("manifest") == [fault])
        #expect(errorCode { _ = try folder.open("manifest").sample(0) } == code)
        #expect(errorCode { _ = try folder.open("manifest").instanceCount(0) } == code)
    }

    @Test func faultsOfTheWholeFile() throws {
        #expect(
            try folder(#"{"image": "images/a.png"}"#, #"{"image": "images/./a.jpg"}"#).check("manifest").first
                == "line 2 duplicateImage")
        #expect(errorCode { _ = try folder("").open("manifest") } == .emptyDataset)
        #expect(errorCode { _ = try folder("").open("manifest", annotations: "images") } == .unreadableFile)
        #expect(try AnnotationCheck.run(format: "folder", folder("").options())?.errors == nil)
        #expect(
            AnnotationCheck.formats == [
                "bsdata", "coco", "coconut", "cosam", "isic2016", "kvasir-seg", "labelme", "manifest", "sa-1b",
            ])
    }
}
