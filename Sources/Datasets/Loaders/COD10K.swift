extension LabelledImages {
    /// COD10K, camouflaged animals: `Test/Image/NAME.jpg`, `Test/GT_Object/NAME.png`; test part, split 4:1 as in WeSAM.
    ///
    /// Mask values above 127, or above `data.binarise`, are one instance. Images without a camouflaged object,
    /// recognised by their names (`COD10K-NonCAM-`), are left out before the split; the released code does so after it.
    static func cod10k(_ options: DatasetOptions) throws(DatasetError) -> LabelledImages {
        let folder = try AnnotatedFolder(options)
        var entries = try pairs(Part(images: "Test/Image", labels: "Test/GT_Object"), in: folder)
        if options.labelRules == .corrected { entries.removeAll { $0.id.hasPrefix("COD10K-NonCAM-") } }
        return LabelledImages(folder, entries, k: 4, LabelReading.object(greyMask(options)))
    }
}
