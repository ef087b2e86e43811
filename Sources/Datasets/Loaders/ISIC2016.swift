extension LabelledImages {
    /// ISIC 2016, part 1, skin lesions: `ISBI2016_ISIC_Part1_Training_Data/NAME.jpg` with
    /// `ISBI2016_ISIC_Part1_Training_GroundTruth/NAME_Segmentation.png`, and the same with `Test`; the authors' split.
    ///
    /// The list `ISBI2016_ISIC_Part1_Training_GroundTruth.csv` with columns `img` and `seg` of paths below the
    /// root, as distributed by MedSegDiff, gives the images and their order if it exists; otherwise the folders do.
    /// Mask values above 127, or above `data.binarise`, are one instance.
    static func isic2016(
        _ options: DatasetOptions, noting note: DatasetNote = DatasetRegistry.refuse
    ) throws(DatasetError) -> LabelledImages {
        let folder = try AnnotatedFolder(options)
        func part(_ place: String) throws(DatasetError) -> [Entry] {
            guard let list = list(of: place, in: folder) else {
                return try segmentations(place, in: folder, noting: note)
            }
            var report = AnnotationReport()
            let entries = listed(list, in: folder, &report)
            for error in report.datasetErrors { try note(error) }
            return entries
        }
        let (training, evaluation) = (try part(parts[0]), try part(parts[1]))
        let trained = Set(training.map(\.id))
        var held: [Entry] = []
        for entry in evaluation {
            guard trained.contains(entry.id) else {
                held.append(entry)
                continue
            }
            try note(
                DatasetError(
                    .ambiguousName, at: folder.path(entry.image), "an image of the same name is in the training part",
                    remedy: "list it in one part only"))
        }
        return LabelledImages(folder, training: training, evaluation: held, LabelReading.object(greyMask(options)))
    }

    /// Checks the existing lists, without opening an image; records every fault.
    static func checkISIC2016(_ options: DatasetOptions, limit: Int) throws(DatasetError) -> AnnotationReport {
        let folder = try AnnotatedFolder(options)
        var report = AnnotationReport(limit: limit)
        for part in parts {
            if let list = list(of: part, in: folder) { _ = listed(list, in: folder, &report) }
        }
        return report
    }

    private static var parts: [String] { ["ISBI2016_ISIC_Part1_Training", "ISBI2016_ISIC_Part1_Test"] }

    /// The list of a part; nil if there is none.
    private static func list(of part: String, in folder: AnnotatedFolder) -> String? {
        let list = part + "_GroundTruth.csv"
        return folder.exists(list) ? list : nil
    }

    /// The images of one part in order of their names, without a list.
    private static func segmentations(
        _ place: String, in folder: AnnotatedFolder, noting note: DatasetNote
    ) throws(DatasetError) -> [Entry] {
        let (images, masks) = (place + "_Data", place + "_GroundTruth")
        let present = Set(try folder.names(in: masks, extensions: ["png"]))
        let names = try files(images, ["jpg"], in: folder)
        let first = try byName(names, images, folder, noting: note)
        return names.filter { first[RelativePath.withoutExtension($0)] == $0 }.map { name in
            let stem = RelativePath.withoutExtension(name)
            let mask = stem + "_Segmentation.png"
            return entry(
                stem, images + "/" + name, present.contains(mask) ? masks + "/" + mask : nil,
                pattern: folder.path(masks + "/" + mask), folder)
        }
    }

    /// The images of a list, in its order; faulty rows are recorded and left out.
    private static func listed(_ list: String, in folder: AnnotatedFolder, _ report: inout AnnotationReport) -> [Entry]
    {
        var entries: [Entry] = []
        var lines: [String: Int] = [:]
        let errors = report.errors
        do throws(AnnotationFault) {
            let file = try folder.annotationFile(list)
            let table = try CommaSeparatedTable(file, columns: ["img", "seg"], &report)
            for row in table.rows {
                let record = "line \(row.line)"
                let paths = row.values.map { RelativePath.resolve($0) ?? $0 }
                let problems = paths.compactMap { RelativePath.problem($0) }
                for problem in problems {
                    try report.add(AnnotationFault(file: file.path, record: record, .path, problem))
                }
                guard problems.isEmpty else { continue }
                let stem = RelativePath.withoutExtension(paths[0].split(separator: "/").last.map(String.init) ?? "")
                guard lines[stem] == nil else {
                    let found = "line \(lines[stem] ?? 0) has an image of the same name"
                    try report.add(AnnotationFault(file: file.path, record: record, .duplicateImage, found))
                    continue
                }
                lines[stem] = row.line
                var entry = entry(
                    stem, paths[0], folder.exists(paths[1]) ? paths[1] : nil, pattern: folder.path(paths[1]), folder)
                if !folder.exists(paths[0]) { entry.fault = missingImage(paths[0], namedBy: list, folder) }
                entries.append(entry)
            }
            if entries.isEmpty, report.errors == errors {
                throw AnnotationFault(file: file.path, .missingKey, "no row below the header")
            }
        } catch {
            // A report that does not stop at the first error lists this one too.
            try? report.add(error)
        }
        return entries
    }
}
