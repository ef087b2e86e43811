import Imaging

extension LabelledImages {
    /// OSD, objects on a table: `image_color/NAME.png` and instance numbers in `annotation/NAME.png`; cut 6:1 as WeSAM does.
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
    /// Makes background of labels that are not above a number.
    mutating func clear(upTo most: UInt16) {
        for pixel in labels.indices where labels[pixel] <= most { labels[pixel] = 0 }
    }
}
