import Datasets
import DatasetTestSupport
import DataTools
import Foundation
import Imaging
import Testing
import TestSupport

/// Published data sets with one mistake of each kind in their annotations: a check reports all of them in one pass,
/// with files that cannot be read.
@Suite struct PublishedDatasetCheckTests {
    private let square = (0..<16).map { y in
        String((0..<16).map { (2..<9).contains(y) && (2..<9).contains($0) ? "#" : "." })
    }

    /// Writes the start of a JPEG file, with an intact header and truncated pixels.
    private func addTorn(_ place: String, in folder: TemporaryFolder) throws {
        try folder.draw(place, square)
        let url = URL(fileURLWithPath: folder.path + "/" + place)
        let bytes = try Data(contentsOf: url)
        try bytes.prefix(bytes.count / 2).write(to: url)
    }

    @Test func kvasirSEG() throws {
        let box = #"{"xmin": 2, "ymin": 2, "xmax": 9, "ymax": 9}"#
        func record(_ boxes: String) -> String { #"{"width": 16, "height": 16, "bbox": [\#(boxes)]}"# }
        let records: [(name: String, text: String, rules: [String])] = [
            ("good", record(box), []), ("list", "[]", ["wrongType"]),
            ("number", #"{"width": "16"}"#, ["wrongType", "missingKey", "missingKey"]),
            ("boxes", #"{"width": 16, "height": 16, "bbox": 3}"#, ["wrongType"]), ("../away", record(box), ["path"]),
            (
                "corner", record(box + #", 7, {"xmin": 2, "ymin": "2", "xmax": 9}"#),
                ["wrongType", "wrongType", "missingKey"]
            ),
            ("beside", record(#"{"xmin": 20, "ymin": 2, "xmax": 29, "ymax": 9}"#), ["badBox"]),
            ("over", record(#"{"xmin": 2, "ymin": 2, "xmax": 29, "ymax": 9}"#), ["clippedBox"]),
            ("gone", record(box), []), ("unlabelled", record(box), []),
            ("turned", record(box).replacing("16,", with: "15,"), []),
            ("torn", #"{"width": 0}"#, ["wrongType", "missingKey", "missingKey"]),
        ]
        let folder = try TemporaryFolder()
        for (place, name) in records.map(\.name).enumerated() where name != "../away" && name != "gone" {
            try folder.draw("images/\(name).jpg", square, scale: place + 1)
            if name != "unlabelled" { try folder.draw("masks/\(name).jpg", square) }
        }
        try addTorn("images/torn.jpg", in: folder)
        let text = records.map { "\"\($0.name)\": \($0.text)" }.joined(separator: ",\n")
        try folder.addText("kavsir_bboxes.json", "{\(text)}")
        let findings = try DatasetFindings.checked("kvasir-seg", folder.options())
        let expected = records.flatMap { record in
            record.rules.map { "kavsir_bboxes.json: image \"\(record.name)\": \($0)" }
        }
        #expect(try findings.faults(below: folder).sorted() == expected.sorted())
        let unreadable = findings.problems(.unreadable).map {
            String($0.dropFirst(folder.path.count + 1).prefix { $0 != ":" })
        }
        #expect(unreadable.sorted() == ["images/gone.jpg", "images/torn.jpg"])
        #expect(findings.count(.missingLabel) == 1 && findings.count(.sizeMismatch) == 1)
        #expect(findings.usableImages == 2 && findings.errors == expected.count - 1 + 4)

        // A duplicate name does not end the reading.
        try folder.addText("kavsir_bboxes.json", "{\"good\": \(record(box)), \(text)}")
        let twice = try DatasetFindings.checked("kvasir-seg", folder.options())
        #expect(twice.errors == findings.errors + 1 && twice.usableImages == 2)
        #expect(try twice.faults(below: folder).contains { $0.hasSuffix(": duplicateKey") })

        // After a fault of the JSON itself, the records before it are still read.
        try folder.addText("kavsir_bboxes.json", "{\(text), \"cut\": {")
        let cut = try DatasetFindings.checked("kvasir-seg", folder.options())
        #expect(cut.errors == findings.errors + 1 && cut.usableImages == 2)
        #expect(try cut.faults(below: folder).contains { $0.hasSuffix(": truncated") })
    }

    @Test func segmentAnything1B() throws {
        let runs = #""segmentation": {"size": [16, 16], "counts": [34, 7, 9, 7, 199]}"#
        let first: [(text: String, rules: [String])] = [
            (#"{"bbox": [2, 2, 2, 7], \#(runs)}"#, []), ("3", ["wrongType"]), ("{}", ["missingKey", "missingKey"]),
            (#"{"bbox": [2, 2, 2], \#(runs)}"#, ["wrongType"]), (#"{"bbox": [2, 2, NaN, 7], \#(runs)}"#, ["notFinite"]),
            (#"{"bbox": [20, 2, 2, 7], \#(runs)}"#, ["badBox"]),
            (#"{"bbox": [2, 2, 20, 7], \#(runs)}"#, ["clippedBox"]),
            (#"{"bbox": [2, 2, 2, 7], \#(runs.replacing("199", with: "198"))}"#, ["runSum"]),
            (#"{"bbox": [2, 2, 2, 7], \#(runs.replacing("199", with: "-199"))}"#, ["negativeRun"]),
            (#"{"bbox": [2, 2, 2, 7], \#(runs.replacing("[16, 16]", with: "[8, 32]"))}"#, ["maskSize"]),
            (#"{"bbox": [2, 2, 2, 7], "segmentation": "x"}"#, ["wrongType"]),
            (#"{"bbox": [2, 2, 2, 7], "segmentation": {"size": [16, 16], "counts": "~"}}"#, ["runText"]),
        ]
        let folder = try TemporaryFolder()
        for (place, name) in ["a", "b", "c", "d"].enumerated() {
            try folder.draw("SA/\(name).jpg", square, scale: place + 1)
        }
        try addTorn("SA/torn.jpg", in: folder)
        func text(_ annotations: String) -> String { #"{"image": {}, "annotations": [\#(annotations)]}"# }
        try folder.addText("SA/a.json", text(first.map(\.text).joined(separator: ", ")))
        try folder.addText("SA/b.json", text("{}").dropLast(2) + "")
        try folder.addText("SA/c.json", "{}")
        try folder.addText("SA/torn.json", text("4, {}"))
        let findings = try DatasetFindings.checked("sa-1b", DatasetOptions(root: folder.path + "/SA"))
        let expected =
            first.enumerated().flatMap { place, annotation in
                annotation.rules.map { "SA/a.json: annotations[\(place)]: \($0)" }
            } + [
                "SA/b.json: annotations[0]: missingKey", "SA/b.json: annotations[0]: missingKey",
                "SA/b.json: truncated",
            ]
            + ["SA/c.json: missingKey", "SA/torn.json: annotations[0]: wrongType"]
            + ["SA/torn.json: annotations[1]: missingKey", "SA/torn.json: annotations[1]: missingKey"]
        #expect(try findings.faults(below: folder).sorted() == expected.sorted())
        #expect(findings.problems(.unreadable).map { $0.contains("SA/torn.jpg: ") } == [true])
        #expect(findings.problems(.missingLabel).map { $0.contains("SA/d.jpg: ") } == [true])
        #expect(findings.errors == expected.count - 1 + 2 && findings.usableImages == 0)
    }

    /// All faults of one image are reported, and duplicates do not hide the rest.
    @Test func severalFaultsOfOneImage() throws {
        let folder = try TemporaryFolder()
        try folder.addText("kavsir_bboxes.json", #"{"a": [], "b": [], "c": []}"#)
        for name in ["a", "b", "c"] { try folder.draw("images/\(name).jpg", square) }
        try addTorn("images/b.jpg", in: folder)
        try addTorn("masks/c.jpg", in: folder)
        let polyps = try DatasetFindings.checked("kvasir-seg", folder.options())
        #expect(polyps.count(.annotation) == 3 && polyps.count(.missingLabel) == 2 && polyps.errors == 7)
        #expect(
            polyps.problems(.unreadable).map { $0.contains("images/b.jpg") || $0.contains("masks/c.jpg") } == [
                true, true,
            ])

        for name in ["a.jpg", "a.JPG", "b.jpg"] { try folder.draw("SA/" + name, square) }
        try folder.addText("SA/a.json", "{}")
        try addTorn("SA/b.jpg", in: folder)
        let segments = try DatasetFindings.checked("sa-1b", DatasetOptions(root: folder.path + "/SA"))
        #expect(segments.count(.ambiguousName) == 1 && segments.count(.annotation) == 1)
        #expect(segments.count(.missingLabel) == 1 && segments.count(.unreadable) == 1 && segments.errors == 4)

        try FileManager.default.removeItem(atPath: folder.path + "/masks")
        #expect(try DatasetFindings.checked("kvasir-seg", folder.options()).count(.annotation) == 3)
    }

    @Test func coconut() throws {
        let folder = try TemporaryFolder()
        try folder.draw("val2017/7.jpg")
        try folder.addText(
            "annotations/relabeled_instances_val.json",
            #"""
            {"images": [{"id": 7, "file_name": "7.jpg", "width": 4, "height": 3}, {"id": 8, "width": 4, "height": 3}],
            "categories": [], "annotations": [{"id": 1, "image_id": 7, "segmentation": [[0, 0, 2, 0]]}, {"id": 2, "image_id": 9,
            "bbox": [0, 0, 2, 2]}]}
            """#)
        let faults = try DatasetFindings.checked("coconut", folder.options()).faults(below: folder)
        let file = "annotations/relabeled_instances_val.json: "
        #expect(
            faults.sorted() == [
                file + "annotation 1: shortPolygon", file + "annotation 2: unknownImage", file + "image 8: missingKey",
            ])
    }

    @Test func isic2016() throws {
        let folder = try TemporaryFolder()
        let (training, test) = ("ISBI2016_ISIC_Part1_Training", "ISBI2016_ISIC_Part1_Test")
        for (place, name) in ["a", "b"].enumerated() {
            try folder.draw("\(training)_Data/\(name).jpg", square, scale: place + 1)
            try folder.draw("\(training)_GroundTruth/\(name)_Segmentation.png", square)
        }
        func row(_ image: String, _ mask: String = "a") -> String {
            "0,\(training)_Data/\(image).jpg,\(training)_GroundTruth/\(mask)_Segmentation.png"
        }
        let rows = [
            ",img,seg", row("a"), "0,a", row("b", "gone"), "0,\"a\",b", "0,/a.jpg,../b.png", row("a"), row("gone"),
        ]
        try folder.addText(training + "_GroundTruth.csv", rows.joined(separator: "\n"))
        try folder.addText(
            test + "_GroundTruth.csv", [",img,seg", row("b", "b"), row("c"), "0"].joined(separator: "\n"))
        let findings = try DatasetFindings.checked("isic2016", folder.options())
        let expected = [(3, "labelCount"), (5, "syntax"), (6, "path"), (6, "path"), (7, "duplicateImage")].map {
            "\(training)_GroundTruth.csv: line \($0): \($1)"
        }
        #expect(try findings.faults(below: folder) == expected + ["\(test)_GroundTruth.csv: line 4: labelCount"])
        #expect(findings.count(.ambiguousName) == 1 && findings.count(.missingLabel) == 1)
        let unreadable = findings.problems(.unreadable).map {
            String($0.dropFirst(folder.path.count + 1).prefix { $0 != ":" })
        }
        #expect(unreadable.sorted() == [training + "_Data/c.jpg", training + "_Data/gone.jpg"])
        #expect(findings.usableImages == 1)
    }
}
