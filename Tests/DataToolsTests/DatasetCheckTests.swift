import Datasets
import DatasetTestSupport
import DataTools
import Foundation
import Imaging
import Testing
import TestSupport

extension DatasetFindings {
    /// The findings of a check of a data set.
    static func checked(_ format: String, _ options: DatasetOptions, limit: Int? = nil) throws -> DatasetFindings {
        var check = DatasetCheck(format: format, options, limit: limit)
        return try check.run().findings
    }

    /// Faults of annotations without their offset and details, as in `manifest.jsonl: line 3: badBox`.
    func faults(below folder: TemporaryFolder) throws -> [String] {
        try (problems(.annotation) + problems(.annotationWarning)).map { line in
            #expect(!line.contains("\n") && line.hasPrefix(folder.path + "/"))
            let parts = line.dropFirst(folder.path.count + 1).replacing(#/ \(byte \d+\)/#, with: "")
                .components(separatedBy: ": ")
            let rule = try #require(parts.firstIndex { AnnotationRule(rawValue: $0) != nil }, "no rule: \(line)")
            return parts[...rule].joined(separator: ": ")
        }
    }
}

/// Data sets with one mistake of each kind: a check reports all of them in one pass.
@Suite struct DatasetCheckTests {
    /// Writes a PNG file with an intact header and truncated pixels.
    private func addTorn(_ path: String) throws {
        var image = Image(width: 20, height: 10, channels: 3)
        for place in image.pixels.indices { image.pixels[place] = UInt8(truncatingIfNeeded: place &* place &* 7) }
        try image.writePNG(to: path)
        let url = URL(fileURLWithPath: path)
        let bytes = try Data(contentsOf: url)
        try bytes.prefix(bytes.count / 2).write(to: url)
    }

    // MARK: Every kind of mistake in each format

    @Test func coco() throws {
        let polygon = #""segmentation": [[1, 1, 5, 1, 5, 5]]"#
        let runs = #""segmentation": {"size": [10, 20], "counts":"#
        let annotations: [(text: String, rule: String?)] = [
            (#""image_id": 1, "bbox": [1, 1, 4, 4], \#(polygon)"#, nil),
            (#""image_id": 1, "segmentation": [[1, 1, 5, 1, 5, 5, 4]]"#, "oddPolygon"),
            (#""image_id": 1, "segmentation": [[1, 1, 5, 1]]"#, "shortPolygon"),
            (#""image_id": 1, "segmentation": [[1, 1, 5, 1, 5, NaN]]"#, "notFinite"),
            (#""image_id": 1, "bbox": [1, 1, 0, 4]"#, "emptyBox"),
            (#""image_id": 1, "bbox": [20, 1, 4, 4]"#, "badBox"),
            (#""image_id": 1, "bbox": [15, 1, 9, 4]"#, "clippedBox"),
            (#""image_id": 77, \#(polygon)"#, "unknownImage"),
            (#""image_id": 1, \#(runs) [199]}"#, "runSum"), (#""image_id": 1, \#(runs) [-1, 201]}"#, "negativeRun"),
            (#""image_id": 1, "segmentation": {"size": [20, 10], "counts": [200]}"#, "maskSize"),
            (#""image_id": 1, "segmentation": {"size": [65536, 65536], "counts": [4294967296]}"#, "runLimit"),
            (#""image_id": 1, \#(runs) "PPPPPPP0"}"#, "runText"), (#""image_id": 1"#, "noLabel"),
            (polygon, "missingKey"), (#""image_id": "1", \#(polygon)"#, "wrongType"),
            (#""image_id": 1, "category_id": 8, \#(polygon)"#, "unknownCategory"),
        ]
        let images: [(text: String, rule: String?)] = [
            (#""id": 1, "file_name": "a.png", "width": 20, "height": 10"#, nil),
            (#""id": 2, "file_name": "gone.png", "width": 20, "height": 10"#, "image 2: imageFile"),
            (#""id": 3, "file_name": "b.png", "width": 10, "height": 10"#, "image 3: imageSize"),
            (#""id": 4, "file_name": "../c.png", "width": 10, "height": 10"#, "image 4: path"),
            (#""id": 5, "file_name": "d.png", "width": 0, "height": 10"#, "image 5: badValue"),
            (#""id": 1, "file_name": "e.png", "width": 20, "height": 10"#, "image 1: duplicateImage"),
        ]
        let folder = try TemporaryFolder()
        for name in ["a.png", "b.png"] { try folder.addImage(name, width: 20, height: 10) }
        try addTorn(folder.path + "/images/torn.png")
        let records = annotations.enumerated().map { #"{"id": \#($0.offset + 1), \#($0.element.text)}"# }
        let file = "annotations/instances_images.json"
        try folder.addText(
            file,
            #"""
            {"images": [\#(images.map { "{\($0.text)}" }.joined(separator: ","))],
            "annotations": [\#((records + [records[0]]).joined(separator: ",\n"))],
            "categories": [{"id": 1, "name": "a"}, {"id": 1, "name": "b"}]}
            """#)
        var expected = annotations.enumerated().compactMap { place, record in
            record.rule.map { "\(file): annotation \(place + 1): \($0)" }
        }
        expected += images.compactMap { image in image.rule.map { "\(file): \($0)" } }
        expected += [
            "\(file): annotation 1: duplicateAnnotation", "\(file): category 1: duplicateCategory",
            "\(file): image 1: partialLabels",
        ]
        let findings = try DatasetFindings.checked("coco", folder.options())
        #expect(try findings.faults(below: folder).sorted() == expected.sorted())
        // The annotations cannot be used, and broken pictures are still reported.
        #expect(findings.problems(.unreadable).map { $0.contains("images/torn.png: ") } == [true])
        #expect(!findings.isUsable && !findings.hasReadLabels && findings.errors == expected.count - 4 + 1)
        #expect(findings.warnings == 4 && findings.report().contains("not usable: \(findings.errors) errors"))
    }

    @Test func labelMe() throws {
        func file(_ shapes: String, image: String = "a.png") -> String {
            #"{"shapes": [\#(shapes)], "imagePath": "../images/\#(image)", "imageWidth": 20, "imageHeight": 10}"#
        }
        let files: [(name: String, text: String, fault: String?)] = [
            ("good", file(#"{"label": "a", "points": [[1, 1], [5, 1], [5, 5]]}"#), nil),
            ("short", file(#"{"points": [[1, 1], [5, 1]]}"#, image: "b.png"), "shapes[0]: shortPolygon"),
            ("infinite", file(#"{"points": [[1, 1], [5, 1], [5, NaN]]}"#, image: "c.png"), "shapes[0]: notFinite"),
            ("list", file(#"{"points": [1, 1, 5, 1, 5, 5]}"#, image: "d.png"), "shapes[0]: wrongType"),
            ("none", file(#"{"label": "a"}"#, image: "e.png"), "shapes[0]: missingKey"),
            (
                "kind", file(#"{"points": [[1, 1]], "shape_type": "line"}"#, image: "f.png"),
                "shapes[0]: unsupportedShape"
            ),
            (
                "value", file(#"{"points": [[1, 1], [2, 2]], "shape_type": "point"}"#, image: "g.png"),
                "shapes[0]: badValue"
            ),
            (
                "box", file(#"{"points": [[21, 1], [25, 5]], "shape_type": "rectangle"}"#, image: "h.png"),
                "shapes[0]: badBox"
            ),
            (
                "over", file(#"{"points": [[12, 1], [25, 5]], "shape_type": "rectangle"}"#, image: "i.png"),
                "shapes[0]: clippedBox"
            ),
            ("point", file(#"{"points": [[21, 1]], "shape_type": "point"}"#, image: "j.png"), "shapes[0]: badPoint"),
            ("syntax", file(#"{"points": [[1, 1]}"#, image: "k.png"), "shapes[0]: syntax"),
            ("twice", file(#"{"points": [[1, 1]], "points": []}"#, image: "l.png"), "shapes[0]: duplicateKey"),
            ("text", file(#"{"label": "\ud800", "points": []}"#, image: "m.png"), "shapes[0]: text"),
            ("cut", String(file("", image: "n.png").dropLast(3)), "truncated"),
            ("owner", file(""), "duplicateImage"), ("gone", file("", image: "gone.png"), "imageFile"),
            ("away", file("", image: "../../x.png"), "path"),
            (
                "turned", file("", image: "o.png").replacing(#""imageWidth": 20"#, with: #""imageWidth": 5"#),
                "imageSize"
            ),
        ]
        let folder = try TemporaryFolder()
        for (place, letter) in "abcdefghijklmno".enumerated() {
            try folder.addImage("\(letter).png", width: 20, height: 10, value: UInt8(place))
        }
        for file in files { try folder.addText("labels/\(file.name).json", file.text) }
        try addTorn(folder.path + "/images/torn.png")
        try folder.addText("labels/torn.json", file("", image: "torn.png"))
        let findings = try DatasetFindings.checked("labelme", folder.options(annotations: "labels"))
        let expected = files.compactMap { file in file.fault.map { "labels/\(file.name).json: \($0)" } }
        #expect(try findings.faults(below: folder).sorted() == expected.sorted())
        // Faults reported by the annotations' check are not repeated when the samples are read.
        #expect(findings.problems(.unreadable).map { $0.contains("images/torn.png: ") } == [true])
        #expect(findings.errors == expected.count - 1 + 1 && findings.warnings >= 1 && findings.hasReadLabels)
        #expect(findings.images == files.count + 1 && findings.usableImages == 3)
    }

    @Test func manifest() throws {
        let lines: [(text: String, rule: String?)] = [
            (#"{"image": "images/a.png", "boxes": [[1, 2, 9, 9]]}"#, nil),
            (#"{"image": "images/b.png", "box": [[1, 2, 3, 4]]}"#, "unknownKey"), (#"{"boxes": []}"#, "missingKey"),
            (#"{"image": 3}"#, "wrongType"), (#"{"image": "../a.png"}"#, "path"),
            (#"{"image": "images/c.png", "image": "images/b.png"}"#, "duplicateKey"),
            (#"{"image": "images/c.png"} 7"#, "syntax"), (#"{"image": "images/c.png", "#, "truncated"),
            (#"{"image": "images/\ud800.png"}"#, "text"),
            (#"{"image": "images/c.png", "boxes": [[3, 2, 3, 4]]}"#, "badBox"),
            (#"{"image": "images/d.png", "boxes": [[3, 2, 25, 4]]}"#, "clippedBox"),
            (#"{"image": "images/e.png", "boxes": [[3, 2, NaN, 4]]}"#, "notFinite"),
            (#"{"image": "images/f.png", "points": [[[1, 2, 3]]]}"#, "badValue"),
            (#"{"image": "images/g.png", "points": [[[20, 1, 1]]]}"#, "badPoint"),
            (#"{"image": "images/h.png", "polygons": [[[1, 2, 3, 4, 5]]]}"#, "oddPolygon"),
            (#"{"image": "images/i.png", "polygons": [[[1, 2, 3, 4]]]}"#, "shortPolygon"),
            (#"{"image": "images/j.png", "boxes": [[1, 1, 2, 2]], "points": []}"#, "labelCount"),
            (#"{"image": "images/k.png", "points": [[]]}"#, "noLabel"),
            (#"{"image": "images/l.png", "points": [[[1, 1, 1]], []]}"#, "noLabel"),
            (#"{"image": "images/gone.png"}"#, "imageFile"),
            (#"{"image": "images/m.png", "width": 10, "height": 20}"#, "imageSize"),
            (#"{"image": "./images/a.png"}"#, "duplicateImage"), (#"{"image": "images/torn.png"}"#, nil),
        ]
        let folder = try TemporaryFolder()
        for letter in "abcdefghijklm" { try folder.addImage("\(letter).png", width: 20, height: 10) }
        try addTorn(folder.path + "/images/torn.png")
        try folder.addText("manifest.jsonl", lines.map(\.text).joined(separator: "\n"))
        let findings = try DatasetFindings.checked("manifest", folder.options())
        let expected = lines.enumerated().compactMap { place, line in
            line.rule.map { "manifest.jsonl: line \(place + 1): \($0)" }
        }
        #expect(try findings.faults(below: folder).sorted() == expected.sorted())
        #expect(findings.problems(.unreadable).map { $0.contains("images/torn.png: ") } == [true])
    }

    @Test func folder() throws {
        let folder = try TemporaryFolder()
        for (name, value) in [("a.png", 1), ("b.png", 2), ("c.png", 3), ("d.jpg", 4), ("d.png", 5), ("e.png", 6)] {
            try folder.addImage(name, width: 20, height: 10, value: UInt8(value))
        }
        for name in ["a.png", "d.png", "unused.png"] { try folder.addLabel(name, width: 20, height: 10, [3: 1]) }
        try folder.addLabel("b.png", width: 10, height: 20)
        try folder.addText("labels/e.png", "no image")
        try folder.addText("images/f.png", "no image")
        try addTorn(folder.path + "/images/torn.png")
        symlink("/etc/hostname", folder.path + "/images/link.png")
        let findings = try DatasetFindings.checked("folder", folder.options())
        let places: [DatasetFindings.Kind: [String]] = [
            .ambiguousName: ["images/d.png"],
            .missingLabel: ["images/c.png", "images/f.png", "images/link.png", "images/torn.png"],
            .sizeMismatch: ["labels/b.png"],
            .unreadable: ["images/f.png", "images/torn.png", "labels/e.png"], .outsideRoot: ["images/link.png"],
            .unusedLabel: ["labels/unused.png"],
        ]
        for kind in DatasetFindings.Kind.allCases where kind != .tinyInstance {
            let found = findings.problems(kind).map { line in
                String(line.dropFirst(folder.path.count + 1).prefix { $0 != ":" })
            }
            #expect(found.sorted() == places[kind, default: []], "\(kind)")
        }
        #expect(findings.errors == 10 && findings.images == 8 && findings.usableImages == 2)
        let text = findings.report()
        #expect(text.contains("files that cannot be read: 3\n") && text.contains("\nwarnings: 3\n"))
        try folder.addLabel("d.PNG", width: 20, height: 10)
        #expect(try DatasetFindings.checked("folder", folder.options()).count(.ambiguousName) == 2)
    }

    // MARK: Doubtful labels, numbers, limits

    @Test func doubtfulLabels() throws {
        let folder = try TemporaryFolder()
        func add(_ name: String, _ value: UInt8, _ labels: [Int: UInt16]) throws {
            try folder.addImage(name + ".png", width: 20, height: 10, value: value)
            try folder.addLabel(name + ".png", width: 20, height: 10, labels)
        }
        let large = [Int: UInt16](uniqueKeysWithValues: (0..<40).map { ($0, 9) })
        try add("empty", 1, [:])
        try add("sound", 2, large)
        try add("same", 2, large)
        try add("smoothed", 3, large.merging((50..<60).map { ($0, UInt16($0)) }) { $1 })
        try add("tiny", 4, large.merging([50: 1, 51: 1, 90: 2]) { $1 })
        try add("whole", 5, [Int: UInt16](uniqueKeysWithValues: (0..<196).map { ($0, 3) }))
        let findings = try DatasetFindings.checked("folder", folder.options())
        #expect(findings.problems(.duplicateImage) == ["sound is as same"])
        #expect(findings.problems(.antiAliased) == ["smoothed: 10 of 11 instances have fewer than 10 pixels"])
        #expect(findings.problems(.tinyInstance) == ["tiny: 2 of 3"] && findings.count(.tinyInstance) == 2)
        #expect(findings.problems(.wholeImage) == ["whole: instance 1 covers 98 %"])
        #expect(findings.isUsable && findings.warnings == 5 && findings.instances == [0, 1, 11, 1, 3, 1])
        #expect(findings.areas.count == 17 && findings.areas.max() == 0.98)
        #expect(findings.pixels == (1200, 40 + 50 + 40 + 43 + 196))
        let text = findings.report()
        #expect(text.contains("instances     17; per image 0 to 11, median 1; 1 image without"))
        #expect(text.contains("sizes         all 20x10") && text.hasSuffix("usable: no errors, 5 warnings"))
        let few = try DatasetFindings.checked("folder", folder.options(), limit: 2)
        #expect(few.images == 2 && few.imagesLeftOut == 4 && few.report().contains("4 more not checked"))
    }

    @Test func longListsAreCut() throws {
        let folder = try TemporaryFolder()
        for number in 10..<40 { try folder.addImage("\(number).png") }
        let findings = try DatasetFindings.checked("folder", folder.options())
        let lines = findings.report().split(separator: "\n")
        #expect(findings.count(.missingLabel) == 30 && lines.count { $0.contains("has no label") } == 20)
        #expect(lines.contains("    and 10 more"))
        #expect(findings.report(most: nil).split(separator: "\n").count { $0.contains("has no label") } == 30)
    }

    @Test func nothingToCheck() throws {
        let folder = try TemporaryFolder()
        #expect(try DatasetFindings.checked("folder", folder.options()).count(.unusable) == 1)
        #expect(errorCode { _ = try DatasetFindings.checked("nonsense", folder.options()) } == .unknownDataset)
        let nowhere = DatasetOptions(root: folder.path + "/none")
        for format in DatasetRegistry.names {
            #expect(errorCode { _ = try DatasetFindings.checked(format, nowhere) } == .missingFolder, "\(format)")
        }
    }

    // MARK: Pictures

    @Test func sheetShowsImagesChosenEvenly() throws {
        let folder = try TemporaryFolder()
        for number in 10..<40 {
            try folder.addImage("\(number).png", width: 40, height: 20, value: UInt8(number))
            let label = [Int: UInt16](
                uniqueKeysWithValues: (5..<15).flatMap { y in (10..<30).map { (y * 40 + $0, 1) } })
            try folder.addLabel("\(number).png", width: 40, height: 20, label)
        }
        try folder.addText("images/10.png", "no image")
        func sheet(_ places: Int) throws -> Image {
            var check = DatasetCheck(
                format: "folder", folder.options(),
                sheet: ContactSheet(places: places, prompts: PromptOptions(kind: .point), seed: 1))
            return try #require(try check.run().sheet)
        }
        let picture = try sheet(4)
        #expect(picture.width == 2 * 296 + 8 && picture.height == 2 * 320 + 8)
        #expect(try sheet(4) == picture)
        // Images 10, 18, 25 and 33: the first cannot be read, the others show their grey and the colour of the instance.
        for (place, value) in [(1, 18), (2, 25), (3, 33)] {
            let (left, bottom) = (8 + place % 2 * 296, 8 + place / 2 * 320 + 287)
            let colours = (0..<144).map { picture.colour(x: left, y: bottom - $0) }
            #expect(colours.contains(Colour(UInt8(value), UInt8(value), UInt8(value))))
            let (x, y) = (left + 10 * 288 / 40, bottom - 72)
            #expect((0..<3).contains { picture.colour(x: x + $0, y: y) == .instance(1) })
        }
        #expect(picture.pixels.contains(225) && picture.colour(x: 20, y: 300) != picture.colour(x: 320, y: 300))
        #expect(try sheet(25).width == 5 * 296 + 8)
    }
}
