extension LabelledImages {
    /// CAMO, camouflaged objects: `Images/Train/NAME.jpg` and `Images/Test/NAME.jpg`, masks of both in `GT/NAME.png`; the
    /// authors' split.
    ///
    /// Mask values above 127, or above `data.binarise`, are one instance.
    static func camo(_ options: DatasetOptions) throws(DatasetError) -> LabelledImages {
        let folder = try AnnotatedFolder(options)
        func part(_ name: String) throws(DatasetError) -> [Entry] {
            try pairs(Part(images: "Images/" + name, labels: "GT", prefix: name + "/"), in: folder)
        }
        return LabelledImages(
            folder, training: try part("Train"), evaluation: try part("Test"), LabelReading.object(greyMask(options)))
    }
}
