import Datasets
import Foundation
import Tensors
import Testing

@Suite struct COCOAnnotationTests {
    /// Writes a text to a file and calls `body` with its path.
    private func withFile<Result>(_ text: String, _ body: (String) throws -> Result) throws -> Result {
        try withFile(Data(text.utf8), body)
    }

    private func withFile<Result>(_ data: Data, _ body: (String) throws -> Result) throws -> Result {
        let path = NSTemporaryDirectory() + "kedge-coco-" + UUID().uuidString + ".json"
        try data.write(to: URL(fileURLWithPath: path))
        defer { try? FileManager.default.removeItem(atPath: path) }
        return try body(path)
    }

    /// Records and rules of a report.
    private func faults(_ text: String) throws -> [String] {
        try withFile(text) { path in
            COCOAnnotations.check(path: path).faults.map { fault in
                #expect(!fault.description.contains("\n") && fault.description.hasPrefix(path))
                return "\(fault.record ?? "-") \(fault.rule.rawValue)"
            }
        }
    }

    private static let images = #"""
        [{"id": 9, "file_name": "b.jpg", "width": 20, "height": 10}, {"id": -3, "file_name": "a.jpg", "width": 8, "height": 8}]
        """#

    private func text(_ annotations: String, images: String = images, categories: String = "[]") -> String {
        #"{"images": \#(images), "annotations": [\#(annotations)], "categories": \#(categories)}"#
    }

    @Test func readsImagesInOrderOfNumbers() throws {
        let annotations = #"""
            {"id": 5, "image_id": 9, "category_id": 2, "bbox": [1, 2, 3.5, 4], "segmentation": [[1,2,4,2,4,6,1,6]], "area": 1},
            {"iscrowd": 1, "segmentation": {"counts": [60, 4], "size": [8, 8]}, "bbox": [0, 7, 8, 1], "image_id": -3, "id": 1},
            {"id": 7, "image_id": 9, "bbox": [0, 0, 20, 10], "segmentation": [], "note": {"deep": [1, {"x": null}]}}
            """#
        let all = text(annotations, categories: #"[{"id": 2, "name": "cell", "supercategory": "x"}]"#)
        for piece in [1, 513, 520, 600, 1 << 16] {
            try withFile(all) { path in
                var report = AnnotationReport()
                let coco = try COCOAnnotations(path: path, report: &report, piece: piece)
                #expect(report.faults == [])
                #expect(coco.images.map(\.id) == [-3, 9] && coco.images[1].fileName == "b.jpg")
                #expect(coco.categories.map(\.id) == [2] && coco.categories.map(\.name) == ["cell"])
                #expect(coco.annotations(ofImage: 0) == [1] && coco.annotations(ofImage: 1) == [0, 2])
                #expect(coco[0].box == Box(x0: 1, y0: 2, x1: 4.5, y1: 6) && coco[0].categoryID == 2)
                #expect(coco[1].isCrowd && coco[1].categoryID == nil && !coco[2].hasOutline)
                #expect(
                    try coco.outline(0) == [
                        PolygonRasterisation.encode(polygon: [1, 2, 4, 2, 4, 6, 1, 6], width: 20, height: 10)
                    ])
                #expect(try coco.outline(1).map(\.area) == [4] && coco.outline(2).isEmpty)
            }
        }
    }

    /// Every kind of mistake once, all found in one pass.
    @Test func everyFaultIsNamed() throws {
        let polygon = #""segmentation": [[1, 1, 5, 1, 5, 5]]"#
        let records: [(record: String, fault: String?)] = [
            (#""id": 1, "image_id": 9, "bbox": [1, 1, 4, 4], \#(polygon)"#, nil),
            (#""id": 2, "image_id": 9, "segmentation": [[1, 1, 5, 1, 5, 5, 4]]"#, "annotation 2 oddPolygon"),
            (#""id": 3, "image_id": 9, "segmentation": [[1, 1, 5, 1]]"#, "annotation 3 shortPolygon"),
            (#""id": 4, "image_id": 9, "segmentation": [[1, 1, 5, 1, 5, 1e999]]"#, "annotation 4 notFinite"),
            (#""id": 5, "image_id": 9, "segmentation": [[1, 1, 5, 1, 5, NaN]]"#, "annotation 5 notFinite"),
            (#""id": 6, "image_id": 9, "bbox": [1, 1, 0, 4]"#, "annotation 6 emptyBox"),
            (#""id": 7, "image_id": 9, "bbox": [1, 1, 4, -4]"#, "annotation 7 badBox"),
            (#""id": 8, "image_id": 9, "bbox": [20, 1, 4, 4]"#, "annotation 8 badBox"),
            (#""id": 9, "image_id": 9, "bbox": [15, 1, 9, 4]"#, "annotation 9 clippedBox"),
            (#""id": 10, "image_id": 9, "bbox": [15, 1, 5.9, 4]"#, nil),
            (#""id": 11, "image_id": 9, "bbox": [1, -Infinity, 4, 4]"#, "annotation 11 notFinite"),
            (#""id": 12, "image_id": 4, \#(polygon)"#, "annotation 12 unknownImage"),
            (#""id": 1, "image_id": 9, \#(polygon)"#, "annotation 1 duplicateAnnotation"),
            (#""id": 13, "image_id": 9, "segmentation": {"size": [10, 20], "counts": [199]}"#, "annotation 13 runSum"),
            (
                #""id": 14, "image_id": 9, "segmentation": {"size": [10, 20], "counts": [201, -1]}"#,
                "annotation 14 runSum"
            ),
            (
                #""id": 15, "image_id": 9, "segmentation": {"size": [10, 20], "counts": [-1, 201]}"#,
                "annotation 15 negativeRun"
            ),
            (
                #""id": 16, "image_id": 9, "segmentation": {"size": [20, 10], "counts": [200]}"#,
                "annotation 16 maskSize"
            ),
            (
                #""id": 17, "image_id": 9, "segmentation": {"size": [65536, 65536], "counts": [4294967296]}"#,
                "annotation 17 runLimit"
            ),
            (
                #""id": 18, "image_id": 9, "segmentation": {"size": [10, 20], "counts": "PPPPPPP0"}"#,
                "annotation 18 runText"
            ),
            (#""id": 19, "image_id": 9, "segmentation": {"counts": [200]}"#, "annotation 19 missingKey"),
            (
                #""id": 20, "image_id": 9, "segmentation": {"size": [10, 20], "counts": [1.5]}"#,
                "annotation 20 wrongType"
            ),
            (#""id": 21, "image_id": 9"#, "annotation 21 noLabel"),
            (#""id": 22, \#(polygon)"#, "annotation 22 missingKey"),
            (#""image_id": 9, \#(polygon)"#, "annotations[23] missingKey"),
            (#""id": 24, "image_id": "9", \#(polygon)"#, "annotation 24 wrongType"),
            (#""id": 25, "image_id": 9, "bbox": [1, 2, 3]"#, "annotation 25 wrongType"),
            (#""id": 26, "image_id": 9, "bbox": [1, 2, 3, "4"]"#, "annotation 26 wrongType"),
            (#""id": 27, "image_id": 9, "segmentation": [1, 1, 5, 1, 5, 5]"#, "annotation 27 wrongType"),
            (#""id": 28, "image_id": 9, "segmentation": "RLE""#, "annotation 28 wrongType"),
            (#""id": 29, "image_id": 9, "iscrowd": 2, \#(polygon)"#, "annotation 29 wrongType"),
            (#""id": 30.5, "image_id": 9, \#(polygon)"#, "annotations[30] wrongType"),
            (#""id": 31, "image_id": 9, "category_id": 8, \#(polygon)"#, "annotation 31 unknownCategory"),
            (#""image_id": 9, "segmentation": [[1, 1, 5, 1, "5", 5]], "id": 32"#, "annotation 32 wrongType"),
        ]
        let images = #"""
            [{"id": 9, "file_name": "b.jpg", "width": 20, "height": 10}, {"id": 9, "file_name": "c.jpg", "width": 8, "height": 8},
            {"id": 1, "file_name": "../c.jpg", "width": 8, "height": 8}, {"id": 2, "file_name": "/c.jpg", "width": 8, "height": 8},
            {"id": 3, "file_name": "d.jpg", "width": 0, "height": 8}, {"id": 44, "file_name": 5, "width": 8, "height": 8},
            {"id": 5, "width": 8, "height": 8}, {"id": 6, "file_name": "b.png", "width": 8, "height": 8}, 7]
            """#
        let imageFaults = [
            "image 9 duplicateImage", "image 1 path", "image 2 path", "image 3 badValue", "image 44 wrongType",
            "image 5 missingKey", "images[8] wrongType", "image 9 duplicateImage",
        ]
        let all = text(
            records.map { "{\($0.record)}" }.joined(separator: ",\n"), images: images,
            categories: #"[{"id": 1, "name": "a"}, {"id": 1, "name": "b"}, {"id": 2}]"#)
        let expected =
            imageFaults + records.compactMap(\.fault) + ["category 1 duplicateCategory", "category 2 missingKey"]
        #expect(try faults(all).sorted() == expected.sorted())
        try withFile(all) { path in
            let report = COCOAnnotations.check(path: path)
            let offsets = report.faults.compactMap(\.offset)
            #expect(offsets == offsets.sorted() && offsets.count == report.faults.count)
            #expect(report.warnings == 3 && report.errors == expected.count - 3)
            #expect(report.counts.reduce(0) { $0 + $1.count } == expected.count)
            #expect(COCOAnnotations.check(path: path, limit: 4).faults.count { $0.rule.severity == .error } == 4)
            let error = #expect(throws: DatasetError.self) { try COCOAnnotations(path: path) }
            #expect(error?.code == .invalidAnnotation)
            #expect(error?.description.contains("image 9") == true && error?.description.contains("byte") == true)
        }
    }

    @Test func warningsDoNotStop() throws {
        try withFile(text(#"{"id": 6, "image_id": 9, "bbox": [1, 1, 0, 4]}"#)) { path in
            let coco = try COCOAnnotations(path: path)
            #expect(coco.images.indices.reduce(0) { $0 + coco.annotations(ofImage: $1).count } == 1)
        }
    }

    @Test(arguments: [
        ("", "truncated"), ("[]", "wrongType"), ("{", "truncated"), (#"{"images": []}"#, "missingKey"),
        (#"{"images": [], "annotations": {}}"#, "wrongType"), (#"{"images": [], "annotations": []} x"#, "syntax"),
        (#"{"images": [], "annotations": [], "images": []}"#, "duplicateKey"), ("\u{feff}{", "truncated"),
    ])
    func brokenFiles(text: String, rule: String) throws {
        #expect(try faults(text) == ["- \(rule)"])
    }

    /// Skipped values must still be valid JSON.
    @Test func skippedValuesAreChecked() throws {
        let good = [
            "0", "-0", "-0.5e-3", "1E+5", "123456789012345678901234567890", "true", "null", #""""#,
            #""\u00e9\ud83d\ude00\n\/""#,
            "\"\u{e9}\u{20ac}\u{1f600}\"", "[]", "{}", "[[[]],{\"a\":{}}]", "[1 ,\t2\r\n]",
            #"{"a":1,"b":[true,false]}"#,
        ]
        let bad = [
            "01", "-", "+1", ".5", "1.", "1e", "0x1", "tru", "nul", "'a'", "\"a\u{1}\"", #""\x""#, #""\u12g4""#,
            #""\ud800""#,
            #""\ud800\u0041""#, #""\udc00""#, "[1,]", "[1 2]", "{,}", #"{"a"}"#, #"{"a":}"#, #"{a:1}"#, #"{"a":1,}"#,
            "[1}", "[", "",
            "\"", "// x", "[NaNa]", String(repeating: "[", count: 100) + String(repeating: "]", count: 100),
        ]
        for value in good {
            #expect(try faults(#"{"info": \#(value), "images": [], "annotations": []}"#) == [], "\(value)")
        }
        for value in bad {
            let found = try faults(#"{"info": \#(value), "images": [], "annotations": []}"#)
            #expect(found.count == 1 && found[0].hasPrefix("- "), "\(value): \(found)")
        }
        for bytes: [UInt8] in [
            [0xff], [0xc0, 0x80], [0xed, 0xa0, 0x80], [0xf5, 0x80, 0x80, 0x80], [0xe2, 0x82], [0x80],
        ] {
            let data = Data(#"{"info": ""#.utf8) + Data(bytes) + Data(#"", "images": [], "annotations": []}"#.utf8)
            try withFile(data) { path in
                #expect(COCOAnnotations.check(path: path).faults.map(\.rule) == [.text])
            }
        }
    }

    /// Every truncation and every changed byte gives annotations or a fault that names the file.
    @Test func damagedFilesGiveFaults() throws {
        let whole = Array(
            text(
                #"{"id": 1, "image_id": 9, "bbox": [1, 1, 4.25, 4], "segmentation": {"size": [10, 20], "counts": [180, 20]}}"#
            ).utf8)
        for count in 0..<whole.count {
            try withFile(Data(whole.prefix(count))) { path in
                let report = COCOAnnotations.check(path: path)
                #expect(report.errors == 1 && report.faults[0].file == path)
            }
        }
        var generator = SeededGenerator(seed: 5, purpose: "damage")
        var faulty = 0
        for place in whole.indices {
            var damaged = whole
            damaged[place] = UInt8(generator.index(below: 256))
            try withFile(Data(damaged)) { path in
                faulty += COCOAnnotations.check(path: path).errors > 0 ? 1 : 0
            }
        }
        #expect(faulty > whole.count / 2)
    }

    /// Numbers are read as the nearest Double, in any notation.
    @Test func numbersAreRoundedCorrectly() throws {
        var generator = SeededGenerator(seed: 6, purpose: "numbers")
        var texts = [
            "0.1", "5e-324", "2.2250738585072011e-308", "9007199254740993", "1e22", "1e-22", "0.30000000000000004",
        ]
        for _ in 0..<2000 {
            let digits = (0..<1 + generator.index(below: 22)).map { _ in String(generator.index(below: 10)) }.joined()
            let exponent = generator.index(below: 3) == 0 ? "e-\(generator.index(below: 30))" : ""
            texts.append("\(generator.index(below: 1000)).\(digits)\(exponent)")
        }
        let records = texts.enumerated().map { #"{"id": \#($0), "image_id": 9, "bbox": [\#($1), 0, 9e7, 1]}"# }
        try withFile(text(records.joined(separator: ","))) { path in
            var report = AnnotationReport()
            let coco = try COCOAnnotations(path: path, report: &report)
            for (index, text) in texts.enumerated() where Double(text)! < 1e8 {
                #expect(coco[index].box?.x0 == Double(text), "\(text)")
            }
        }
    }

    @Test func changedFilesAreNotReadOn() throws {
        try withFile(text(#"{"id": 1, "image_id": 9, "segmentation": [[1, 1, 5, 1, 5, 5]]}"#)) { path in
            let coco = try COCOAnnotations(path: path)
            #expect(try coco.outline(0).count == 1)
            let handle = try #require(FileHandle(forWritingAtPath: path))
            try handle.truncate(atOffset: 30)
            try handle.close()
            #expect(throws: DatasetError.self) { try coco.outline(0) }
        }
    }

    @Test func whatIsNoFileIsAnError() {
        #expect(throws: DatasetError.self) { try COCOAnnotations(path: NSTemporaryDirectory()) }
        #expect(throws: DatasetError.self) { try COCOAnnotations(path: "/nonexistent/kedge.json") }
        #expect(COCOAnnotations.check(path: "/nonexistent/kedge.json").faults.map(\.rule) == [.unreadable])
    }
}
