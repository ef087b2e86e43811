import Imaging

extension LabelledImages {
    /// Pascal VOC 2012: instances in `SegmentationObject/NAME.png`, images in `JPEGImages/NAME.jpg`, of which only those with
    /// instances are used; split 6:1 as in WeSAM.
    ///
    /// Palette indices are instance numbers; 255, the void at the rims of objects, is background. By the released rules the
    /// palette's colours are looked up among the first 21 with red and blue swapped: that renumbers instances,
    /// and drops those numbered 8 to 15, 19, 21, 23 to 31 and from 40.
    static func pascalVOC(_ options: DatasetOptions) throws(DatasetError) -> LabelledImages {
        let folder = try AnnotatedFolder(options)
        let (images, labels) = ("JPEGImages", "SegmentationObject")
        let byName = try byName(folder.names(in: images, extensions: ["jpg"]), images, folder)
        let entries = try files(labels, ["png"], in: folder).map { name in
            let stem = RelativePath.withoutExtension(name)
            let image = images + "/" + (byName[stem] ?? stem + ".jpg")
            var entry = Entry(id: stem, image: image, labels: [labels + "/" + name])
            if byName[stem] == nil {
                entry.fault = DatasetError(
                    .unreadableFile, at: folder.path(image), "is missing, but its label \(name) exists",
                    remedy: "add the image or remove the label")
            }
            return entry
        }
        let rules = options.labelRules
        return LabelledImages(
            folder, entries, k: 6,
            LabelReading.numbers { labels, _, _ in
                for pixel in labels.labels.indices {
                    let index = labels.labels[pixel]
                    labels.labels[pixel] = rules == .released ? releasedIndex(index) : index == 255 ? 0 : index
                }
            })
    }

    /// The index of the same colour with red and blue swapped; 0 unless it is below 21.
    ///
    /// Bits 0, 3 and 6 of an index are the first bits of red, bits 2 and 5 those of blue.
    private static func releasedIndex(_ index: UInt16) -> UInt16 {
        guard index < 64 else { return 0 }
        let exchanged = index & 0b010_010 | (index & 0b001_001) << 2 | (index & 0b100_100) >> 2
        return exchanged < 21 ? exchanged : 0
    }
}
