import Datasets
import Foundation
import Imaging

// Annotations are parsed in place: a small data set in memory, whose annotation file is the input.

extension FuzzedParser {
    static let coco = annotated(
        "coco", file: "annotations/instances_images.json",
        words: [
            "\"segmentation\": ", "\"counts\": ", "\"size\": [16, 12]", "\"bbox\": ", "\"iscrowd\": 1",
            "\"image_id\": 1",
            "\"id\": ", "\"width\": 16", "\"file_name\": ", "\"a.png\"", "\"../a.png\"", "1e308", "-1e-320", "NaN",
            "[[", "]]",
        ],
        written: [
            #"""
            {"images": [{"id": 2, "file_name": "a.png", "width": 16, "height": 12}], "categories": [], "annotations": [
            {"id": 1, "image_id": 2, "bbox": [2, 2, 6, 5], "iscrowd": 0, "segmentation": [[2, 2, 8, 2, 8, 7, 2.5, 7]]},
            {"id": 2, "image_id": 2, "bbox": [0, 0, 4, 4], "iscrowd": 0, "segmentation": {"size": [12, 16], "counts": [0, 30, 162]}},
            {"id": 3, "image_id": 2, "bbox": [1, 1, 9, 9.5]}]}
            """#,
            #"""
            {"info": {"x": [1, {"y": null}]}, "annotations": [{"image_id": 1, "id": 9, "iscrowd": 0, "bbox": [4, 4, 4, 4],
            "segmentation": {"size": [12, 16], "counts": "0N2"}}], "images": [{"id": 1, "width": 16, "height": 12,
            "file_name": "a.png", "license": "\u00e9\ud83d\ude00"}]}
            """#,
        ])

    static let labelMe = annotated(
        "labelme", file: "a.json",
        words: [
            "\"shape_type\": ", "\"polygon\"", "\"rectangle\"", "\"circle\"", "\"point\"", "\"linestrip\"",
            "\"group_id\": 3",
            "\"points\": ", "\"imagePath\": ", "\"imageData\": null", "\"flags\": {\"background\": true}", "1e308",
            "null",
        ],
        written: [
            #"""
            {"version": "5.2", "imagePath": "a.png", "imageHeight": 12, "imageWidth": 16, "imageData": null, "flags": {},
            "shapes": [{"label": "cell", "shape_type": "polygon", "group_id": null, "flags": {},
            "points": [[1, 1], [9, 2], [6.5, 9]]}, {"label": "cell", "shape_type": "polygon", "group_id": 4,
            "points": [[10, 1], [14, 2], [13, 9]]}]}
            """#,
            #"""
            {"imagePath": "a.png", "imageHeight": 12, "imageWidth": 16, "shapes": [{"label": "b", "shape_type": "rectangle",
            "points": [[1, 1], [9, 8]]}]}
            """#,
        ])

    static let manifestLines = annotated(
        "manifest", file: "manifest.jsonl", name: "lines",
        words: [
            "\"image\": ", "\"a.png\"", "\"boxes\": ", "\"points\": ", "\"polygons\": ", "\"mask\": ", "\"width\": 16",
            "[[1, 2, 3, 4]]", "[[[1, 2, 1]]]", "\n", "1e400",
        ],
        written: [
            #"""
            {"image": "a.png", "boxes": [[1, 1, 5, 6], [2, 2, 9.5, 9]], "points": [[[2, 2, 1]], [[4, 4, 1], [0, 0, 0]]]}
            """#,
            "{\"image\": \"a.png\", \"polygons\": [[1, 1, 9, 1, 5, 9]], \"width\": 16, \"height\": 12}\n"
                + "{\"image\": \"a.png\"}\n",
            #"{"image": "a.png", "mask": "mask.png"}"#,
        ])

    static let segmentAnything1B = annotated(
        "sa-1b", file: "a.json",
        words: [
            "\"bbox\": ", "\"counts\": ", "\"size\": [12, 16]", "\"annotations\": ", "\"image\": ", "\"0N2\"", "-1",
        ],
        written: [
            #"""
            {"image": {"image_id": 1, "width": 16, "height": 12, "file_name": "a.jpg"}, "annotations": [{"bbox": [2, 2, 6, 5],
            "segmentation": {"size": [12, 16], "counts": [26, 5, 7, 5, 149]}, "area": 10, "predicted_iou": 0.9,
            "stability_score": 0.95, "crop_box": [0, 0, 16, 12], "point_coords": [[3, 3]], "id": 7}]}
            """#
        ])

    static let kvasir = annotated(
        "kvasir-seg", file: "kavsir_bboxes.json",
        words: [
            "\"xmin\": ", "\"ymax\": ", "\"bbox\": ", "\"height\": 12", "\"width\": 16", "\"label\": \"polyp\"", "-3",
        ],
        written: [
            #"""
            {"a": {"height": 12, "width": 16, "bbox": [{"label": "polyp", "xmin": 1, "ymin": 1, "xmax": 9, "ymax": 9},
            {"label": "polyp", "xmin": 8, "ymin": 4, "xmax": 15, "ymax": 11}]}}
            """#
        ])

    static let domainManifest = annotated(
        "cosam", file: "manifest.json",
        words: [
            "\"train\": ", "\"test\": ", "\"memory\": ", "\"samples\": ", "\"sha256\": ", "\"name\": ", "[\"a\"]",
            "null",
            "\"../a\"",
        ],
        written: [
            #"""
            {"domain": "rails", "id": 1, "train": ["a"], "test": ["b"], "memory": ["a"], "provenance": {"format": "cosam"},
            "samples": [{"name": "a", "image": "images/a.png", "labels": ["masks/a.jpg"], "sha256": "00ff"}]}
            """#
        ])

    static let bsData = annotated(
        "bsdata", file: "image_data.json",
        words: [
            "\"images\": ", "\"filename\": ", "\"train_test_split\": ", "\"train\"", "\"test\"", "\"a.jpg\"", "null",
        ],
        written: [
            #"""
            {"images": [{"filename": "a.jpg", "train_test_split": "train", "type": 2, "wear_dev": ["x"],
            "annotations": "a.json"}, {"filename": "b.jpg", "train_test_split": "test"}]}
            """#
        ])

    static let runLengths = FuzzedParser(
        "runs", longestInput: 256, memoryLimit: 8 << 20, words: ["0", "o", "P", "1N2", "oooooo"],
        written: {
            try [[0, 192], [26, 5, 7, 5, 149], [0, 1, 190, 1], [191, 1]].map {
                Array(try RunLengthEncoding(counts: $0, width: 16, height: 12).compressed.utf8)
            }
        }
    ) { bytes in
        let found = try attempt(ShapeFault.self) {
            try RunLengthEncoding(compressed: bytes, width: 16, height: 12)
        }
        guard let encoding = found else { return false }
        let again = try RunLengthEncoding(compressed: encoding.compressed, width: 16, height: 12)
        try require(again == encoding, "another mask after writing")
        let mask = try InstanceMasks([encoding], width: 16, height: 12)
        try require(try mask.runLengthEncoding(of: 0).area == mask.pixelCount(of: 0), "pixels lost")
        return true
    }

    /// A parser of an annotation file, by the data set that reads it.
    private static func annotated(
        _ format: String, file: String, name: String? = nil, words: [String], written: [String]
    ) -> FuzzedParser {
        FuzzedParser(
            name ?? format, longestInput: 2048, words: words, written: { written.map { Array($0.utf8) } },
            change: TextLines.change
        ) { bytes in
            let root = try AnnotatedScratch.folder(format)
            try Scratch.write(bytes, to: root + "/" + file)
            return try ReadRetry.$current.withValue(ReadRetry(delays: [])) {
                try read(format, DatasetOptions(root: root))
            }
        }
    }

    private static func read(_ format: String, _ options: DatasetOptions) throws -> Bool {
        // A check reports all findings, and never throws because of a file's content.
        _ = try attempt(DatasetError.self) { try AnnotationCheck.run(format: format, options)?.faults.count }
        let opened = try attempt(DatasetError.self) { try DatasetRegistry.open(format, options) }
        guard let dataset = opened else { return false }
        var isAccepted = false
        for index in 0..<min(dataset.count, 3) {
            let count = try attempt(DatasetError.self) { try dataset.instanceCount(index) }
            guard let sample = try attempt(DatasetError.self, { try dataset.sample(index) }) else { continue }
            isAccepted = true
            try require(count == sample.instanceCount, "\(sample.instanceCount) instances, counted \(count ?? -1)")
            let (width, height) = (sample.image.width, sample.image.height)
            if let masks = sample.instances {
                try require(masks.width == width && masks.height == height, "masks of another size")
            }
            for box in sample.boxes ?? [] {
                let numbers = [box.x0, box.y0, box.x1, box.y1]
                try require(numbers.allSatisfy(\.isFinite) && box.x0 < box.x1 && box.y0 < box.y1, "the box \(box)")
            }
            for point in (sample.points ?? []).joined() {
                try require(point.x.isFinite && point.y.isFinite, "the point \(point)")
            }
        }
        return isAccepted
    }
}

/// Small data sets without their annotation files, one folder per format.
private enum AnnotatedScratch {
    static func folder(_ format: String) throws -> String {
        let root = Scratch.path + format
        guard !FileManager.default.fileExists(atPath: root) else { return root }
        for folder in ["images", "masks", "annotations", "data", "label"] {
            try FileManager.default.createDirectory(atPath: root + "/" + folder, withIntermediateDirectories: true)
        }
        let image = Image(width: 16, height: 12, channels: 3, pixels: (0..<576).map { UInt8($0 & 255) })
        let (png, jpeg) = (try ImageFile.encodePNG(image), try ImageFile.encodeJPEG(image, quality: 90))
        let white = Image(width: 16, height: 12, channels: 1, pixels: [UInt8](repeating: 255, count: 192))
        for place in ["a", "images/a"] {
            try Scratch.write(png, to: "\(root)/\(place).png")
            // If the annotations are next to the images, one image of the name is enough.
            if format == "sa-1b" || format == "kvasir-seg" { try Scratch.write(jpeg, to: "\(root)/\(place).jpg") }
        }
        try Scratch.write(try ImageFile.encodeJPEG(white, quality: 95), to: root + "/masks/a.jpg")
        try Scratch.write(jpeg, to: root + "/data/a.jpg")
        let polygon =
            #"{"imagePath": "a.jpg", "shapes": [{"label": "x", "shape_type": "polygon", "points": [[1, 1], [9, 2], [6, 9]]}]}"#
        try Scratch.write(Array(polygon.utf8), to: root + "/label/a.json")
        var labels = LabelImage(width: 16, height: 12, labels: [UInt16](repeating: 0, count: 192))
        for place in 40..<60 { labels.labels[place] = 1 }
        try Scratch.write(try LabelFile.encodePNG(labels), to: root + "/mask.png")
        return root
    }
}
