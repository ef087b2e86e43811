extension LabelledImages {
    /// ISTD, shadows: images in `train/train_A` and `test/test_A`, masks of the same names in `train/train_B` and
    /// `test/test_B`, all PNG; the authors' split. The images without shadow, `_C`, are not used.
    ///
    /// Mask values above 127, or above `data.binarise`, are one instance.
    static func istd(_ options: DatasetOptions) throws(DatasetError) -> LabelledImages {
        let folder = try AnnotatedFolder(options)
        func part(_ name: String) throws(DatasetError) -> [Entry] {
            let place = name + "/" + name
            return try pairs(
                Part(images: place + "_A", labels: place + "_B", imageExtensions: ["png"], prefix: name + "/"),
                in: folder)
        }
        return LabelledImages(
            folder, training: try part("train"), evaluation: try part("test"), LabelReading.object(greyMask(options)))
    }
}
