extension LabelledImages {
    /// CHAMELEON, camouflaged animals: `Imgs/NAME.jpg` and `GT/NAME.png`. It is a test set, so there is no published split.
    ///
    /// What is above 127 in a mask, or above `data.binarise`, is one instance.
    static func chameleon(_ options: DatasetOptions) throws(DatasetError) -> LabelledImages {
        let folder = try AnnotatedFolder(options)
        return LabelledImages(
            folder, try pairs(Part(images: "Imgs", labels: "GT"), in: folder), LabelReading.object(greyMask(options)))
    }
}
