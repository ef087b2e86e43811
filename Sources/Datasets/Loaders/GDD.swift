extension LabelledImages {
    /// GDD, glass: `train` and `test`, each with `image/NAME.jpg` and `mask/NAME.png`; the authors' split.
    ///
    /// Mask values above 127, or above `data.binarise`, are one instance.
    static func gdd(_ options: DatasetOptions) throws(DatasetError) -> LabelledImages {
        let folder = try AnnotatedFolder(options)
        func part(_ name: String) throws(DatasetError) -> [Entry] {
            try pairs(Part(images: name + "/image", labels: name + "/mask", prefix: name + "/"), in: folder)
        }
        return LabelledImages(
            folder, training: try part("train"), evaluation: try part("test"), LabelReading.object(greyMask(options)))
    }

    /// The threshold of masks that are grey pictures of one object: that of the options or else half of white, because
    /// their rims are smoothed or lossily compressed.
    static func greyMask(_ options: DatasetOptions) -> UInt8 { options.binariseThreshold ?? 127 }
}
