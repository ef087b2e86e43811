import Datasets
import DatasetTestSupport
import DataTools
import Foundation
import Imaging
import Testing
import TestSupport

/// Labels that are read otherwise than they may be meant: a check says so.
@Suite struct DoubtfulLabelTests {
    /// A label with squares of the given side at a distance of two pixels, each of the value `value` returns.
    private func squares(side: Int = 6, across: Int = 5, _ value: (_ number: Int, _ x: Int, _ y: Int) -> UInt16)
        -> LabelImage
    {
        let size = across * (side + 2)
        var image = LabelImage(width: size, height: size, labels: [UInt16](repeating: 0, count: size * size))
        for number in 0..<across * across {
            let (left, top) = (number % across * (side + 2) + 1, number / across * (side + 2) + 1)
            for y in 0..<side {
                for x in 0..<side { image.labels[(top + y) * size + left + x] = value(number, x, y) }
            }
        }
        return image
    }

    private func finding(_ labels: [LabelImage], binarise: UInt8? = nil) throws -> String? {
        let folder = try TemporaryFolder()
        for (number, label) in labels.enumerated() {
            try folder.addImage("\(number).png", width: label.width, height: label.height, value: UInt8(number))
            try label.writePNG(to: folder.path + "/labels/\(number).png")
        }
        let findings = try DatasetFindings.checked("folder", folder.options(binarise: binarise))
        #expect(findings.count(.labelValues) <= 1 && findings.isUsable)
        let line = findings.problems(.labelValues).first
        if let line, let count = line.firstMatch(of: #/instance: (\d+) instead of/#)?.1 {
            // The number is that of the format it names.
            let pieces = try DatasetFindings.checked("folder-components", folder.options(binarise: binarise))
            #expect(pieces.instances.reduce(0) { $0 + Int($1) } == Int(count))
        }
        return line
    }

    @Test func oneValueInManyPieces() throws {
        let binary = squares { _, _, _ in 255 }
        let line = try #require(try finding([binary, binary]))
        #expect(line.contains("the value 255 is the only one") && line.contains("in several in 2 of 2 images"))
        #expect(line.contains("data.format=folder-components") && line.hasSuffix("50 instead of 2"))
        #expect(try finding([binary], binarise: 127)?.contains("the foreground is one instance") == true)
    }

    @Test func classesInManyPieces() throws {
        let classes = squares { number, _, _ in UInt16(number % 3 + 1) }
        let line = try #require(try finding([classes, classes, classes]))
        #expect(line.contains("the same 3 values in most images (1, 2, 3)") && line.hasSuffix("75 instead of 9"))
    }

    @Test func rimsOfTheirOwnValue() throws {
        func isRim(_ x: Int, _ y: Int) -> Bool { x == 0 || y == 0 || x == 5 || y == 5 }
        let outlines = squares { _, x, y in isRim(x, y) ? 2 : 1 }
        #expect(try finding([outlines])?.contains("the value 2 is the rim of all others in 1 of 1") == true)
        let void = squares { number, x, y in isRim(x, y) ? 255 : UInt16(number + 1) }
        let line = try #require(try finding([void, void]))
        #expect(line.contains("the value 255 is the rim") && line.hasSuffix("50 instead of 52"))
    }

    /// Numbers of instances with an object in two pieces, specks, or one inside another now and then are what they should be.
    @Test func instanceNumbersAreNoFinding() throws {
        let numbers = squares { number, _, _ in UInt16(number + 1) }
        let split = squares { number, x, _ in number % 5 == 0 && x == 2 ? 0 : UInt16(number + 1) }
        let nested = squares { number, x, y in
            number == 3 && (2...3).contains(x) && (2...3).contains(y) ? 99 : UInt16(number + 1)
        }
        #expect(try finding([numbers, split, nested, split]) == nil)
        let one = squares(across: 1) { _, _, _ in 255 }
        let speckled = squares { number, x, y in number == 12 || x == 0 && y == 0 ? 255 : 0 }
        #expect(try finding([one, speckled, one]) == nil)
        #expect(try finding([one, one, squares(across: 2) { _, _, _ in 255 }, one, one]) == nil)
    }

    @Test func boxesFarFromTheirMasks() throws {
        let folder = try TemporaryFolder()
        try folder.addImage("a.png", width: 40, height: 40)
        let outline = #""segmentation": [[10, 10, 20, 10, 20, 20, 10, 20]]"#
        try folder.addText(
            "annotations/instances_images.json",
            #"""
            {"images": [{"id": 1, "file_name": "a.png", "width": 40, "height": 40}], "annotations": [
            {"id": 1, "image_id": 1, "bbox": [15, 15, 10, 10], \#(outline)},
            {"id": 2, "image_id": 1, "bbox": [9, 11, 10, 10], \#(outline)}, {"id": 3, "image_id": 1, \#(outline)}]}
            """#)
        let findings = try DatasetFindings.checked("coco", folder.options())
        #expect(findings.problems(.misfitBox) == ["a: 1 of 3, IoU 0.14"] && findings.isUsable)
        let survey = try folder.open("coco").survey(0)
        #expect(survey.boxesWithMask == 2 && survey.misfits == 1)
        try folder.addText(
            "manifest.jsonl",
            #"{"image": "images/a.png", "boxes": [[0, 0, 9, 9]], "polygons": [[[10, 10, 20, 10, 20, 20]]]}"#)
        #expect(try DatasetFindings.checked("manifest", folder.options()).count(.misfitBox) == 1)
    }

    @Test func imagesThatAreNotUsed() throws {
        let folder = try TemporaryFolder()
        try folder.addImage("a.png")
        try folder.addLabel("a.png", [1: 1])
        for name in ["b.tif", "c.TIF", "d.bmp", "notes.txt", ".hidden.tif", "one/e.png", "one/f.jpg", "one/two/g.tiff"]
        {
            try folder.addText("images/" + name, "")
        }
        let findings = try DatasetFindings.checked("folder", folder.options())
        let lines = findings.problems(.unusedImage)
        #expect(findings.isUsable && findings.count(.unusedImage) == 6 && lines.count == 2)
        #expect(lines[0].contains("3 image files in") && lines[0].contains(": 1 .bmp, 2 .tif; save them as PNG"))
        #expect(lines[1].contains("3 image files in folders below") && lines[1].contains(": 3 in one; "))
        try FileManager.default.removeItem(atPath: folder.path + "/images/a.png")
        let empty = try DatasetFindings.checked("folder", folder.options())
        #expect(empty.problems(.unusable).first?.contains("1 .bmp, 2 .tif") == true)
    }

    @Test func nothingLabelledIsAnError() throws {
        let folder = try TemporaryFolder()
        try folder.addImage("a.png")
        try folder.addLabel("a.png")
        let findings = try DatasetFindings.checked("folder", folder.options())
        #expect(!findings.isUsable && !findings.canSkipErrors)
        #expect(findings.problems(.noInstance).first?.contains("its label images are 0 everywhere") == true)
        var check = DatasetCheck(format: "folder", folder.options(), prompts: .automatic)
        let found = try check.run().findings
        #expect(found.isUsable && found.report().contains("prompts.source=automatic"))
        let dark = try DatasetFindings.checked("folder", folder.options(binarise: 9))
        #expect(dark.problems(.noInstance).first?.contains("above data.binarise=9") == true)
        let images = try DatasetFindings.checked("images", folder.options())
        #expect(images.isUsable && images.imagesWith == (0, 0, 0))
        #expect(images.report().contains("none; prompts.source=automatic lets the model find masks"))
    }

    @Test func orientationsThatAreNotApplied() throws {
        let folder = try TemporaryFolder()
        for (name, orientation) in [("a", 3 as UInt8), ("b", 2), ("c", 1)] {
            try folder.addOriented(name + ".jpg", orientation, width: 8, height: 8)
            try folder.addLabel(name + ".png", width: 8, height: 8, [9: 1])
        }
        let findings = try DatasetFindings.checked("folder", folder.options())
        #expect(
            findings.problems(.orientation) == [
                "a: a half turn (Exif orientation 3)", "b: a mirroring (Exif orientation 2)",
            ])
        var options = folder.options()
        options.exif = .apply
        #expect(try DatasetFindings.checked("folder", options).count(.orientation) == 0)
    }

    @Test func aQuarterTurnIsNamedWhereSidesDiffer() throws {
        let folder = try TemporaryFolder()
        try folder.addOriented("a.jpg", 6, width: 8, height: 4)
        try folder.addLabel("a.png", width: 4, height: 8, [9: 1])
        let line = try #require(try DatasetFindings.checked("folder", folder.options()).problems(.sizeMismatch).first)
        #expect(line.contains("states a quarter turn (Exif orientation 6), so data.exif=apply fits"))
        var options = folder.options()
        options.exif = .apply
        #expect(try DatasetFindings.checked("folder", options).isUsable)
        try folder.addLabel("a.png", width: 8, height: 4, [9: 1])
        let other = try #require(try DatasetFindings.checked("folder", options).problems(.sizeMismatch).first)
        #expect(other.contains("data.exif=ignore fits"))
        try folder.addLabel("a.png", width: 5, height: 4, [9: 1])
        #expect(try DatasetFindings.checked("folder", options).problems(.sizeMismatch).first?.contains("turn") == false)
    }
}
