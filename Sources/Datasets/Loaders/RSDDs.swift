extension LabelledImages {
    /// RSDDs, defects of rail surfaces (Gan et al. 2017): `Type-I RSDDs dataset` (express rails) or `Type-II RSDDs dataset`
    /// (common and heavy rails), each with `Rail surface images/NAME.jpg` and `GroundTruth/NAME.jpg`.
    ///
    /// Each piece of the mask above 128, or above `data.binarise`, is a defect; masks are JPEG files, so they are compared,
    /// not read as numbers. The strips are not cut. No split was published: four fifths train, drawn with a fixed seed.
    static func rsdds(_ options: DatasetOptions, type: String) throws(DatasetError) -> LabelledImages {
        let folder = try AnnotatedFolder(options)
        let place = "Type-\(type) RSDDs dataset"
        let part = Part(
            images: place + "/Rail surface images", labels: place + "/GroundTruth", labelExtensions: ["jpg", "png"])
        let entries = try pairs(part, in: folder)
        return LabelledImages(
            folder, entries, split: KToOneSplit.drawn.apply(count: entries.count),
            LabelReading.components(maskAbove(options)))
    }

    /// The threshold of masks in CoSAM's benchmark: that of the options or else 128, which is background itself.
    static func maskAbove(_ options: DatasetOptions) -> UInt8 { options.binariseThreshold ?? 128 }
}
