import Imaging

extension LabelledImages {
    /// OCID, indoor clutter: below the root, at any depth, folders of sequences with `rgb/NAME.png` and instance numbers in
    /// `label/NAME.png`, in order of their paths; split 6:1 as in WeSAM.
    ///
    /// Instance 1 is the floor, and in sequences below a folder `table` instance 2 is the table: both are background. By the
    /// released rules any `table` in the path of the file counts, including the root's, and a label image without
    /// background loses its lowest instance.
    static func ocid(_ options: DatasetOptions) throws(DatasetError) -> LabelledImages {
        let folder = try AnnotatedFolder(options)
        var entries: [Entry] = []
        var visited: Set<String> = []
        for sequence in try sequences(below: "", in: folder, &visited) {
            let part = Part(
                images: sequence + "/rgb", labels: sequence + "/label", imageExtensions: ["png"],
                prefix: sequence + "/")
            entries += try pairs(part, in: folder)
        }
        guard !entries.isEmpty else {
            throw DatasetError(
                .emptyDataset, at: folder.root, "holds no sequence, a folder with a folder rgb",
                remedy: "name the folder that holds ARID10, ARID20 and YCB10 in data.root")
        }
        let rules = options.labelRules
        return LabelledImages(
            folder, entries, k: 6,
            LabelReading.numbers { labels, folder, image in
                switch rules {
                case .corrected: labels.clear(upTo: image.split(separator: "/").contains("table") ? 2 : 1)
                case .released:
                    labels.clear(upTo: folder.path(image).contains("table") ? 2 : 1)
                    let lowest = labels.labels.min() ?? 0
                    labels.clear(upTo: lowest)
                }
            })
    }

    /// The folders that hold a folder `rgb`, in order; each once, however many links lead to it.
    private static func sequences(
        below place: String, in folder: AnnotatedFolder, _ visited: inout Set<String>
    ) throws(DatasetError) -> [String] {
        guard visited.insert(DatasetFile.realPath(folder.path(place)) ?? place).inserted else { return [] }
        if folder.isFolder(place + "/rgb") { return [place] }
        var sequences: [String] = []
        for name in try folder.folders(in: place) {
            sequences += try self.sequences(below: place.isEmpty ? name : place + "/" + name, in: folder, &visited)
        }
        return sequences
    }
}
