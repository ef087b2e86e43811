import Datasets
import DatasetTestSupport
import Foundation
import Imaging
import Testing
import TestSupport

/// COCO files of tools that write crowds, nulls, byte order marks and faults of single annotations in their own way.
@Suite struct DoubtfulAnnotationTests {
    private static let runs = #""segmentation": {"size": [8, 8], "counts": [9, 3, 5, 3, 44]}"#
    private static let outline = #""segmentation": [[1, 1, 5, 1, 5, 5, 1, 5]]"#

    private func folder(_ annotations: [String], more: String = "", mark: [UInt8] = []) throws -> TemporaryFolder {
        let folder = try TemporaryFolder()
        for name in ["a.png", "b.png"] { try folder.addImage(name, width: 8, height: 8) }
        let records = annotations.enumerated().map { #"{"id": \#($0.offset + 1), \#($0.element)}"# }
        let text = #"""
            {"images": [{"id": 1, "file_name": "a.png", "width": 8, "height": 8},
            {"id": 2, "file_name": "b.png", "width": 8, "height": 8}], "annotations": [\#(records.joined(separator: ","))]\#(more)}
            """#
        try folder.addText("annotations/instances_images.json", "")
        try Data(mark + Array(text.utf8)).write(
            to: URL(fileURLWithPath: folder.path + "/annotations/instances_images.json"))
        return folder
    }

    private func counts(_ folder: TemporaryFolder, _ crowds: DatasetOptions.Crowds = .auto) throws -> [Int] {
        var options = folder.options()
        options.crowds = crowds
        let dataset = try DatasetRegistry.open("coco", options)
        return try (0..<dataset.count).map(dataset.instanceCount)
    }

    /// In COCO's own files runs mark crowds and polygons do not; CVAT marks every painted mask.
    @Test func crowdsAreInstancesWhereEveryMaskIsMarked() throws {
        let crowd = #""image_id": 1, "iscrowd": 1, \#(Self.runs)"#
        let polygon = #""image_id": 2, "iscrowd": 0, \#(Self.outline)"#
        let alone = try folder([crowd, crowd])
        #expect(try counts(alone) == [2, 0] && counts(alone, .skip) == [0, 0])
        #expect(try alone.open("coco").survey(0).crowdsTaken == 2)
        // As in COCO: a crowd beside polygons.
        let official = try folder([crowd, polygon])
        #expect(try counts(official) == [0, 1] && counts(official, .take) == [1, 1])
        let survey = try official.open("coco").survey(0)
        #expect(survey.crowds == 1 && survey.crowdsTaken == 0)
        // The same file by a tool that marks painted masks so.
        let painted = try folder([crowd + #", "attributes": {"occluded": false}"#, polygon])
        #expect(try counts(painted) == [1, 1])
        // A mask that is not marked shows that marks mean something; crowds of polygons are never taken.
        #expect(try counts(folder([crowd, #""image_id": 2, \#(Self.runs)"#])) == [0, 1])
        #expect(try counts(folder([#""image_id": 1, "iscrowd": 1, \#(Self.outline)"#])) == [0, 0])
        #expect(try alone.open("coco", rules: .released).survey(0) == ImageSurvey(instances: 2, kinds: .masks))
    }

    @Test func nullIsAMissingKey() throws {
        let folder = try folder(
            [
                #""image_id": 1, "iscrowd": null, "category_id": null, "area": null, "bbox": null, \#(Self.outline)"#,
                #""image_id": 2, "iscrowd": null, "bbox": [1, 1, 4, 4], "segmentation": null"#,
            ], more: #", "categories": null, "licenses": null"#)
        #expect(try folder.check("coco") == [] && counts(folder) == [1, 1])
        let empty = try self.folder([#""image_id": 1, "bbox": null, "segmentation": null"#])
        #expect(try empty.check("coco") == ["annotation 1 noLabel"])
        let wrong = try self.folder([#""image_id": 1, "iscrowd": "no", \#(Self.outline)"#])
        #expect(try wrong.check("coco") == ["annotation 1 wrongType"])
    }

    /// An annotation at fault costs its image and no other, so that a run may leave that image out.
    @Test func faultsOfOneImageLeaveTheOthers() throws {
        let faults = [
            #""segmentation": [[]]"#, #""segmentation": [[1, 1, 5, 1]]"#, #""bbox": [20, 1, 4, 4]"#,
            #""bbox": [1, 1, -4, 4]"#, #""segmentation": {"size": [8, 8], "counts": [9, 3]}"#, #""area": 3"#,
        ]
        for fault in faults {
            let folder = try folder([#""image_id": 2, \#(Self.outline)"#, #""image_id": 1, \#(fault)"#])
            let dataset = try folder.open("coco")
            #expect(try dataset.instanceCount(1) == 1)
            #expect(try dataset.image(0).width == 8)
            for read in [{ _ = try dataset.sample(0) }, { _ = try dataset.survey(0) }] {
                #expect(errorCode(read) == .invalidAnnotation, "\(fault)")
            }
        }
        // What no image can be told of is a fault of the file.
        for annotation in [#""image_id": 7, \#(Self.outline)"#, #""image_id": 7, "area": 1"#, Self.outline] {
            #expect(errorCode { _ = try self.folder([annotation]).open("coco") } == .invalidAnnotation, "\(annotation)")
        }
    }

    @Test func linesAtFaultAreImagesAtFault() throws {
        let folder = try TemporaryFolder()
        for name in ["a.png", "b.png"] { try folder.addImage(name, width: 8, height: 8) }
        let lines = [
            #"{"image": "images/a.png", "boxes": [[1, 1, 5, 5]]}"#,
            #"{"image": "images/b.png", "boxes": [[5, 1, 1, 5]]}"#,
            #"{"image": "images/b.png", "bo"#, #"{"boxes": [[1, 1, 5, 5]]}"#, #"{"image": "images/a.png"}"#,
        ]
        try folder.addText("manifest.jsonl", "\u{feff}" + lines.joined(separator: "\n"))
        let dataset = try folder.open("manifest")
        #expect((0..<dataset.count).map(dataset.id) == ["images/a", "images/b", "line 3", "line 4", "line 5"])
        #expect(try dataset.instanceCount(0) == 1)
        for index in 1..<5 { #expect(errorCode { _ = try dataset.survey(index) } == .invalidAnnotation) }
        #expect(Set((0..<5).map(dataset.fingerprint)).count == 5)
        #expect(
            try folder.check("manifest") == [
                "line 2 badBox", "line 3 truncated", "line 4 missingKey", "line 5 duplicateImage",
            ])
    }

    @Test func byteOrderMarks() throws {
        let annotation = #""image_id": 1, \#(Self.outline)"#
        #expect(try counts(folder([annotation], mark: [0xef, 0xbb, 0xbf])) == [1, 0])
        let wide = try folder([annotation], mark: [0xff, 0xfe])
        do {
            _ = try wide.open("coco")
            Issue.record("UTF-16 was read")
        } catch let error as DatasetError {
            #expect(error.problem.contains("UTF-16") && error.problem.contains("save the file as UTF-8"))
        }
        let label = try TemporaryFolder()
        try label.addImage("a.png", width: 8, height: 8)
        try label.addText(
            "a.json", "\u{feff}" + #"{"imagePath": "images/a.png", "shapes": [{"points": [[1, 1], [5, 1], [5, 5]]}]}"#)
        #expect(try label.open("labelme").instanceCount(0) == 1)
    }

    @Test func twinsAreNamedByTheirStem() throws {
        let folder = try TemporaryFolder()
        for name in ["a.png", "a.jpg"] { try folder.addImage(name) }
        try folder.addLabel("a.png")
        do {
            _ = try folder.open()
            Issue.record("two images of one stem were opened")
        } catch let error as DatasetError {
            #expect(error.code == .ambiguousName)
            #expect(error.problem == "a.jpg has the same name before the ending, so that both would be 'a'")
        }
    }
}
