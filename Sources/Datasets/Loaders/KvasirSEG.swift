import Imaging

extension LabelledImages {
    /// Kvasir-SEG, polyps: `images/NAME.jpg`, `masks/NAME.jpg`, and in `kavsir_bboxes.json` (or `data.annotations`) a box for
    /// each polyp; in the order of that file, split 5:1 as in WeSAM.
    ///
    /// An instance is the foreground inside its box, and the box is its prompt. The masks are JPEG files with ringing
    /// for several pixels around a rim: foreground is above 127, half of white, or above `data.binarise`. A box without
    /// foreground is left out. By the released rules foreground is every value but 0, a box takes pixels from earlier
    /// ones, and a box left without any is an error.
    static func kvasirSEG(
        _ options: DatasetOptions, noting note: DatasetNote = DatasetRegistry.refuse
    ) throws(DatasetError) -> LabelledImages {
        let folder = try AnnotatedFolder(options)
        let list = boxList(options)
        var report = AnnotationReport()
        let boxes = KvasirBoxes(list, in: folder, &report)
        for error in report.datasetErrors { try note(error) }
        let images = Set(try files("images", ["jpg"], in: folder))
        let masks = Set(try folder.names(in: "masks", extensions: ["jpg"]))
        let entries = boxes.images.map { image in
            let name = image.id + ".jpg"
            let mask = "masks/" + name
            var entry = entry(
                image.id, "images/" + name, masks.contains(name) ? mask : nil, pattern: folder.path(mask), folder)
            if !images.contains(name) { entry.fault = missingImage(entry.image, namedBy: list, folder) }
            // The record's fault has been reported by this point; other faults of the files have not.
            if let fault = image.fault, entry.fault == nil { entry.fault = fault.error }
            return entry
        }
        let byID = Dictionary(uniqueKeysWithValues: boxes.images.map { ($0.id, $0) })
        let threshold = options.labelRules == .released ? 0 : greyMask(options)
        return LabelledImages(folder, entries, k: 5) { folder, entry, size in
            guard let image = byID[entry.id], let mask = entry.labels.first else {
                return Labels(masks: InstanceMasks(count: 0, width: size.width, height: size.height))
            }
            if let fault = image.fault {
                _ = try folder.foreground(mask, threshold, image: entry.image, size)
                throw fault.error
            }
            guard size == (image.width, image.height) else {
                throw folder.sizeMismatch(entry.image, is: size, not: (image.width, image.height))
            }
            let isForeground = try folder.foreground(mask, threshold, image: entry.image, size)
            return try labels(image, isForeground, location: folder.path(list), options.labelRules)
        }
    }

    /// Checks the boxes, without opening an image; records every fault.
    static func checkKvasirSEG(_ options: DatasetOptions, limit: Int) throws(DatasetError) -> AnnotationReport {
        var report = AnnotationReport(limit: limit)
        _ = KvasirBoxes(boxList(options), in: try AnnotatedFolder(options), &report)
        return report
    }

    /// The path of the boxes below the root.
    private static func boxList(_ options: DatasetOptions) -> String { options.annotations ?? "kavsir_bboxes.json" }

    /// The instances of an image by its foreground, `[H, W]`.
    private static func labels(
        _ image: KvasirBoxes.Image, _ isForeground: [Bool], location: String, _ rules: DatasetOptions.LabelRules
    ) throws(DatasetError) -> Labels {
        let (width, height) = (image.width, image.height)
        let areas = image.boxes.map { box in
            (columns: Int(box.x0)..<Int(box.x1.rounded(.up)), rows: Int(box.y0)..<Int(box.y1.rounded(.up)))
        }
        var masks = InstanceMasks(count: 0, width: width, height: height)
        for (index, area) in areas.enumerated() {
            masks.append()
            let later = rules == .released ? areas[(index + 1)...] : []
            for y in area.rows {
                var first: Int?
                for x in area.columns {
                    let isOwn =
                        isForeground[y * width + x]
                        && !later.contains { $0.rows.contains(y) && $0.columns.contains(x) }
                    if isOwn {
                        first = first ?? x
                    } else if let start = first {
                        masks.append(row: y, start..<x)
                        first = nil
                    }
                }
                if let first { masks.append(row: y, first..<area.columns.upperBound) }
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
            .unreadableFile, at: folder.path(image), "is missing, but \(list) names it",
            remedy: "add the image or remove its entry")
    }
}
