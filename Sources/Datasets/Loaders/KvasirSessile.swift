extension LabelledImages {
    /// Kvasir-SEG divided by its subset of flat polyps: `Kvasir-SEG/{images,masks}/NAME.jpg`, of which those that are in
    /// `sessile-main-Kvasir-SEG/images` too are for evaluation.
    ///
    /// The whole mask above 128, or above `data.binarise`, is one instance, however many polyps it shows; the files of the
    /// subset itself are not read, as they are copies.
    static func kvasirSessile(_ options: DatasetOptions) throws(DatasetError) -> LabelledImages {
        let folder = try AnnotatedFolder(options)
        let part = Part(images: "Kvasir-SEG/images", labels: "Kvasir-SEG/masks", labelExtensions: ["jpg"])
        let subset = "sessile-main-Kvasir-SEG/images"
        let flat = try byName(try files(subset, ["jpg"], in: folder), subset, folder)
        let entries = try pairs(part, in: folder)
        let known = Set(entries.map(\.id))
        if let other = flat.keys.sorted().first(where: { !known.contains($0) }) {
            throw DatasetError(
                .missingLabel, at: folder.path(subset + "/" + (flat[other] ?? other)), "is not in \(part.images)",
                remedy: "unpack the whole of Kvasir-SEG beside its subset")
        }
        return LabelledImages(
            folder, training: entries.filter { flat[$0.id] == nil }, evaluation: entries.filter { flat[$0.id] != nil },
            LabelReading.object(maskAbove(options)))
    }
}
