extension LabelledImages {
    /// ISIC 2016, part 1, skin lesions: `ISBI2016_ISIC_Part1_Training_Data/NAME.jpg` with
    /// `ISBI2016_ISIC_Part1_Training_GroundTruth/NAME_Segmentation.png`, and the same with `Test`; the authors' split.
    ///
    /// Where there is a list, `ISBI2016_ISIC_Part1_Training_GroundTruth.csv` with columns `img` and `seg` of paths below the
    /// root, as MedSegDiff distributes them, it gives the images and their order; without it, the folders do. What is above
    /// 127 in a mask, or above `data.binarise`, is one instance.
    static func isic2016(_ options: DatasetOptions) throws(DatasetError) -> LabelledImages {
        let folder = try AnnotatedFolder(options)
        func part(_ name: String) throws(DatasetError) -> [Entry] {
            let place = "ISBI2016_ISIC_Part1_" + name
            if folder.exists(place + "_GroundTruth.csv") {
                return try listed(place + "_GroundTruth.csv", in: folder)
            }
            return try segmentations(place, in: folder)
        }
        let (training, evaluation) = (try part("Training"), try part("Test"))
        let trained = Set(training.map(\.id))
        if let both = evaluation.first(where: { trained.contains($0.id) }) {
            throw DatasetError(
                .ambiguousName, at: folder.path(both.image), "an image of the same name is in the training part",
                remedy: "list it in one part only")
        }
        return LabelledImages(
            folder, training: training, evaluation: evaluation, LabelReading.object(greyMask(options)))
    }

    /// The images of one part in order of their names, without a list.
    private static func segmentations(_ place: String, in folder: AnnotatedFolder) throws(DatasetError) -> [Entry] {
        let (images, masks) = (place + "_Data", place + "_GroundTruth")
        let present = Set(try folder.names(in: masks, extensions: ["png"]))
        let names = try files(images, ["jpg"], in: folder)
        _ = try byName(names, images, folder)
        return names.map { name in
            let stem = RelativePath.withoutExtension(name)
            let mask = stem + "_Segmentation.png"
            return entry(
                stem, images + "/" + name, present.contains(mask) ? masks + "/" + mask : nil,
                pattern: folder.path(masks + "/" + mask), folder)
        }
    }

    /// The images of a list, in its order.
    private static func listed(_ list: String, in folder: AnnotatedFolder) throws(DatasetError) -> [Entry] {
        do throws(AnnotationFault) {
            let file = try folder.annotationFile(list)
            let table = try CommaSeparatedTable(file, columns: ["img", "seg"])
            var entries: [Entry] = []
            var lines: [String: Int] = [:]
            for row in table.rows {
                let record = "line \(row.line)"
                let paths = row.values.map { RelativePath.resolve($0) ?? $0 }
                for path in paths {
                    guard let problem = RelativePath.problem(path) else { continue }
                    throw AnnotationFault(file: file.path, record: record, .path, problem)
                }
                let stem = RelativePath.withoutExtension(paths[0].split(separator: "/").last.map(String.init) ?? "")
                if let other = lines.updateValue(row.line, forKey: stem) {
                    throw AnnotationFault(
                        file: file.path, record: record, .duplicateImage, "line \(other) has an image of the same name")
                }
                var entry = entry(
                    stem, paths[0], folder.exists(paths[1]) ? paths[1] : nil, pattern: folder.path(paths[1]), folder)
                if !folder.exists(paths[0]) { entry.fault = missingImage(paths[0], namedBy: list, folder) }
                entries.append(entry)
            }
            guard !entries.isEmpty else {
                throw AnnotationFault(file: file.path, .missingKey, "no row below the header")
            }
            return entries
        } catch {
            throw error.error
        }
    }
}
