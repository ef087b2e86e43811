extension LabelledImages {
    /// COD10K, camouflaged animals: the test part, `Test/Image/NAME.jpg` and `Test/GT_Object/NAME.png`, cut 4:1 as WeSAM does.
    ///
    /// What is above 127 in a mask, or above `data.binarise`, is one instance. Images without a camouflaged object, which
    /// their names tell (`COD10K-NonCAM-`), are left out before the split; the released code leaves them out after it.
    static func cod10k(_ options: DatasetOptions) throws(DatasetError) -> LabelledImages {
        let folder = try AnnotatedFolder(options)
        var entries = try pairs(Part(images: "Test/Image", labels: "Test/GT_Object"), in: folder)
        if options.labelRules == .corrected { entries.removeAll { $0.id.hasPrefix("COD10K-NonCAM-") } }
        return LabelledImages(folder, entries, k: 4, LabelReading.object(greyMask(options)))
    }
}
