extension LabelledImages {
    /// CHAMELEON, camouflaged animals: `Imgs/NAME.jpg` and `GT/NAME.png`. It is a test set, so there is no published split.
    ///
    /// Mask values above 127, or above `data.binarise`, are one instance.
    static func chameleon(_ options: DatasetOptions) throws(DatasetError) -> LabelledImages {
        let folder = try AnnotatedFolder(options)
        return LabelledImages(
            folder, try pairs(Part(images: "Imgs", labels: "GT"), in: folder), LabelReading.object(greyMask(options)))
    }
}
