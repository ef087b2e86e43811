import Imaging

extension LabelledImages {
    /// Kvasir-SEG, polyps: `images/NAME.jpg`, `masks/NAME.jpg`, and in `kavsir_bboxes.json` (or `data.annotations`) a box for
    /// each polyp; in the order of that file, cut 5:1 as WeSAM does.
    ///
    /// An instance is what is foreground inside its box, and the box is its prompt. The masks are JPEG files, whose values
    /// ring for several pixels around a rim: foreground is above 127, half of white, or above `data.binarise`. A box without
    /// foreground is left out. By the released rules foreground is every value but 0, a box takes pixels from those before it,
    /// and a box that is left without any is an error.
    static func kvasirSEG(_ options: DatasetOptions) throws(DatasetError) -> LabelledImages {
        let folder = try AnnotatedFolder(options)
        let list = options.annotations ?? "kavsir_bboxes.json"
        let boxes = try KvasirBoxes(list, in: folder)
        let images = Set(try files("images", ["jpg"], in: folder))
        let masks = Set(try folder.names(in: "masks", extensions: ["jpg"]))
        let entries = boxes.images.map { image in
            let name = image.id + ".jpg"
            let mask = "masks/" + name
            var entry = entry(
                image.id, "images/" + name, masks.contains(name) ? mask : nil, pattern: folder.path(mask), folder)
            if !images.contains(name) { entry.fault = missingImage(entry.image, namedBy: list, folder) }
            return entry
        }
        let byID = Dictionary(uniqueKeysWithValues: boxes.images.map { ($0.id, $0) })
        let threshold = options.labelRules == .released ? 0 : greyMask(options)
        return LabelledImages(folder, entries, k: 5) { folder, entry, size in
            guard let image = byID[entry.id], let mask = entry.labels.first else {
                return Labels(masks: InstanceMasks(count: 0, width: size.width, height: size.height))
            }
            guard size == (image.width, image.height) else {
                throw sizeMismatch(folder.path(entry.image), is: size, not: (image.width, image.height))
            }
            let isForeground = try folder.foreground(mask, threshold, image: entry.image, size)
            return try labels(image, isForeground, location: folder.path(list), options.labelRules)
        }
    }

    /// The instances of an image by its foreground, `[H, W]`.
    private static func labels(
        _ image: KvasirBoxes.Image, _ isForeground: [Bool], location: String, _ rules: DatasetOptions.LabelRules
    ) throws(DatasetError) -> Labels {
        let (width, height) = (image.width, image.height)
        try InstanceMasks.checkMemory(count: image.boxes.count, width: width, height: height, of: location)
        var masks = InstanceMasks(count: image.boxes.count, width: width, height: height)
        for (index, box) in image.boxes.enumerated() {
            for y in Int(box.y0)..<Int(box.y1.rounded(.up)) {
                for x in Int(box.x0)..<Int(box.x1.rounded(.up)) where isForeground[y * width + x] {
                    masks[index, x: x, y: y] = true
                    guard rules == .released else { continue }
                    for other in 0..<index { masks[other, x: x, y: y] = false }
                }
            }
        }
        let used = image.boxes.indices.filter { masks.pixelCount(of: $0) > 0 }
        guard rules == .corrected || used.count == masks.count else {
            throw AnnotationFault(
                file: location, record: image.id, .labelCount,
                "\(masks.count) boxes, but \(used.count) of them keep foreground by the released rules"
            ).error
        }
        return Labels(masks: masks.selecting(used), boxes: used.map { image.boxes[$0] })
    }

    /// The fault of an image that a list names.
    static func missingImage(_ image: String, namedBy list: String, _ folder: AnnotatedFolder) -> DatasetError {
        DatasetError(
            .unreadableFile, at: folder.path(image), "is not there, but \(list) names it",
            remedy: "add the image or remove its entry")
    }
}

/// The boxes of Kvasir-SEG: `{NAME: {"height": H, "width": W, "bbox": [{"xmin": x, "ymin": y, "xmax": x, "ymax": y}]}}`.
struct KvasirBoxes {
    /// One image.
    struct Image: Equatable, Sendable {
        var id: String
        var width = 0
        var height = 0
        /// Clipped to the image, right and bottom exclusive.
        var boxes: [Box] = []
    }

    /// The images in the order of the file.
    private(set) var images: [Image] = []

    private static let mostImages = 20_000

    /// Reads a file below the root. Throws `DatasetError` at the first fault.
    init(_ list: String, in folder: AnnotatedFolder) throws(DatasetError) {
        guard folder.exists(list) else {
            throw DatasetError(
                .unreadableFile, at: folder.path(list), "is not there, and has the boxes of the data set",
                remedy: "check data.root, or name the file in data.annotations")
        }
        do throws(AnnotationFault) {
            var reader = JSONReader(try folder.annotationFile(list))
            guard try reader.kind() == .object else { throw reader.fault(.wrongType, "the boxes are no object") }
            try reader.object(limit: Self.mostImages) { reader, id throws(AnnotationFault) in
                do throws(AnnotationFault) {
                    if id.isEmpty || id.contains("/") || id.utf8.contains(0) {
                        throw reader.fault(.path, "the name \(id.debugDescription) is none of a file")
                    }
                    images.append(try Self.image(id, &reader))
                } catch {
                    throw error.inside("image \(id.debugDescription)")
                }
            }
            try reader.finish()
            if images.isEmpty { throw reader.fault(.missingKey, "no image") }
        } catch {
            throw error.error
        }
    }

    private static func image(_ id: String, _ reader: inout JSONReader) throws(AnnotationFault) -> Image {
        guard try reader.kind() == .object else { throw reader.fault(.wrongType, "an image that is no object") }
        var image = Image(id: id)
        var corners: [[Double]]?
        try reader.object { reader, key throws(AnnotationFault) in
            switch key {
            case "height", "width":
                guard let value = try reader.integerOrNil(), value > 0 else {
                    throw reader.fault(.wrongType, "'\(key)' is not a positive whole number")
                }
                if key == "width" { image.width = value } else { image.height = value }
            case "bbox":
                guard try reader.kind() == .array else { throw reader.fault(.wrongType, "'bbox' is no list") }
                corners = []
                try reader.array { reader throws(AnnotationFault) in corners?.append(try Self.corners(&reader)) }
            default: try reader.skip()
            }
        }
        guard let corners, image.width > 0, image.height > 0 else {
            throw reader.fault(.missingKey, "'height', 'width' or 'bbox' is missing")
        }
        for corner in corners {
            let box = Box(x0: corner[0], y0: corner[1], x1: corner[2], y1: corner[3])
            if let problem = box.problem(width: image.width, height: image.height), problem.rule.severity == .error {
                throw reader.fault(problem.rule, problem.found)
            }
            image.boxes.append(box.clipped(width: image.width, height: image.height))
        }
        return image
    }

    /// xmin, ymin, xmax and ymax.
    private static func corners(_ reader: inout JSONReader) throws(AnnotationFault) -> [Double] {
        guard try reader.kind() == .object else { throw reader.fault(.wrongType, "a box that is no object") }
        let keys = ["xmin", "ymin", "xmax", "ymax"]
        var corners = [Double?](repeating: nil, count: keys.count)
        try reader.object { reader, key throws(AnnotationFault) in
            guard let place = keys.firstIndex(of: key) else { return try reader.skip() }
            guard let number = try reader.numberOrNil(), abs(number) <= PolygonRasterisation.coordinateLimit else {
                throw reader.fault(.wrongType, "'\(key)' is no coordinate")
            }
            corners[place] = number
        }
        guard let missing = corners.firstIndex(of: nil) else { return corners.compactMap { $0 } }
        throw reader.fault(.missingKey, "a box without '\(keys[missing])'")
    }
}
