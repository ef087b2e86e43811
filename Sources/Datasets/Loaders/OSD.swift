import Imaging

extension LabelledImages {
    /// OSD, objects on a table: `image_color/NAME.png`, labels in `annotation/NAME.png`; split 6:1 as in WeSAM.
    ///
    /// The released rules drop instance 1, which is the supporting surface in OCID but the first object here.
    static func osd(_ options: DatasetOptions) throws(DatasetError) -> LabelledImages {
        let folder = try AnnotatedFolder(options)
        let entries = try pairs(
            Part(images: "image_color", labels: "annotation", imageExtensions: ["png"]), in: folder)
        let rules = options.labelRules
        return LabelledImages(
            folder, entries, k: 6,
            LabelReading.numbers { labels, _, _ in
                if rules == .released { labels.clear(upTo: 1) }
            })
    }
}

extension LabelImage {
    /// Sets labels up to a number to background.
    mutating func clear(upTo most: UInt16) {
        for pixel in labels.indices where labels[pixel] <= most { labels[pixel] = 0 }
    }
}
