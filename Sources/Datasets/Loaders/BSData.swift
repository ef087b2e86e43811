import JSONReading

extension LabelMeDataset {
    /// BSData, pitting of ball screw spindles (Schlagenhauf et al. 2021): `data/NAME.jpg` and, for the images that show damage,
    /// `label/NAME.json` of LabelMe; the authors' split from `image_data.json`.
    ///
    /// The images with a label file are the data set, whatever their names say. Each polygon is an instance. Without
    /// `image_data.json` four fifths of the images train, drawn with a fixed seed. Both splits have pictures of one place on
    /// the spindle, taken hours apart, on both sides.
    static func bsData(_ options: DatasetOptions) throws(DatasetError) -> LabelMeDataset {
        var dataset = try LabelMeDataset(options, .bsData)
        dataset.publishedSplit = try BSDataSplit.split(of: dataset, options)
        return dataset
    }

    /// Checks every label file and, by their headers, the images, and the list of the parts; records every fault.
    static func checkBSData(_ options: DatasetOptions, limit: Int) throws(DatasetError) -> AnnotationReport {
        var report = try check(options, .bsData, limit: limit)
        let folder = try AnnotatedFolder(options)
        do throws(AnnotationFault) {
            _ = try BSDataSplit(in: folder)
        } catch {
            try? report.add(error)
        }
        return report
    }
}

extension LabelMeDataset.Layout {
    static let bsData = LabelMeDataset.Layout(files: "label", images: "data")
}

/// The authors' split: `{"images": [{"filename": "NAME.jpg", "train_test_split": "train"}]}`.
private struct BSDataSplit {
    static let list = "image_data.json"

    /// Whether an image is for training, by its name without the ending; empty without the file.
    private var isTraining: [String: Bool] = [:]
    private var hasFile = false

    /// Reads the file if there is one. Throws a fault of its text; other keys and other parts are ignored.
    init(in folder: AnnotatedFolder) throws(AnnotationFault) {
        guard folder.exists(Self.list) else { return }
        hasFile = true
        let file = try folder.annotationFile(Self.list)
        var reader = AnnotationReader(file)
        guard try reader.kind() == .object else { throw reader.fault(.wrongType, "the list is not an object") }
        var found: [(name: String?, part: String?)] = []
        try reader.object { reader, key throws(AnnotationFault) in
            guard key == "images", try reader.kind() == .array else { return try reader.skip() }
            try reader.array { reader throws(AnnotationFault) in
                guard try reader.kind() == .object else { return try reader.skip() }
                var (name, part): (String?, String?)
                try reader.object { reader, key throws(AnnotationFault) in
                    switch key {
                    case "filename": name = try reader.stringOrNil()
                    case "train_test_split": part = try reader.stringOrNil()
                    default: try reader.skip()
                    }
                }
                guard found.count < 1 << 20 else { throw reader.fault(.syntax, "more than 2^20 images") }
                found.append((name, part))
            }
        }
        try reader.finish()
        for (name, part) in found {
            guard let name, let part, ["train", "test"].contains(part) else { continue }
            let stem = RelativePath.withoutExtension(name)
            if isTraining.updateValue(part == "train", forKey: stem) != nil {
                throw AnnotationFault(file: file.path, record: name, .duplicateImage, "it is listed twice")
            }
        }
    }

    /// The parts of a data set. Throws `DatasetError` if an image with a label file is in none.
    static func split(
        of dataset: LabelMeDataset, _ options: DatasetOptions
    ) throws(DatasetError) -> (training: [Int], evaluation: [Int]) {
        let folder = try AnnotatedFolder(options)
        let list: BSDataSplit
        do throws(AnnotationFault) { list = try BSDataSplit(in: folder) } catch { throw error.error }
        guard list.hasFile else { return KToOneSplit.drawn.apply(count: dataset.count) }
        var (training, evaluation): ([Int], [Int]) = ([], [])
        for index in 0..<dataset.count {
            switch list.isTraining[dataset.id(index)] {
            case true?: training.append(index)
            case false?: evaluation.append(index)
            case nil:
                throw DatasetError(
                    .invalidAnnotation, at: folder.path(Self.list),
                    "says of \(dataset.id(index)).jpg neither train nor test, but it has a label file",
                    remedy: "add it to the list, or remove the list to have a split drawn")
            }
        }
        return (training, evaluation)
    }
}
