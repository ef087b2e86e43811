extension LabelledImages {
    /// One domain of a continual benchmark with one mask an image: `images/NAME.jpg` (or png), `masks/NAME.png` (or jpg), and
    /// `manifest.json` (or `data.annotations`) with the lists `train`, `test` and, if the memory is given, `memory` of names.
    ///
    /// The images are those of the lists, in their order; files in no list are not used. The whole mask above 128, or above
    /// `data.binarise`, is one instance.
    static func coSAM(
        _ options: DatasetOptions, noting note: DatasetNote = DatasetRegistry.refuse
    ) throws(DatasetError) -> LabelledImages {
        let folder = try AnnotatedFolder(options)
        let list = manifestName(options)
        var report = AnnotationReport()
        let manifest = DomainManifest(list, in: folder, &report)
        for error in report.datasetErrors { try note(error) }
        let images = try byName(
            try files("images", ["jpg", "jpeg", "png"], in: folder), "images", folder, noting: note)
        let masks = try byName(
            try folder.names(in: "masks", extensions: ["png", "jpg", "jpeg"]), "masks", folder, noting: note)
        func entries(_ names: [String]) -> [Entry] {
            names.map { name in
                let image = "images/" + (images[name] ?? name + ".jpg")
                var entry = entry(
                    name, image, masks[name].map { "masks/" + $0 }, pattern: folder.path("masks/\(name).png"), folder)
                if images[name] == nil { entry.fault = missingImage(image, namedBy: list, folder) }
                return entry
            }
        }
        var dataset = LabelledImages(
            folder, training: entries(manifest.train), evaluation: entries(manifest.test),
            LabelReading.object(maskAbove(options)))
        let kept = Set(manifest.memory)
        dataset.publishedMemory =
            manifest.memory.isEmpty ? nil : manifest.train.indices.filter { kept.contains(manifest.train[$0]) }
        return dataset
    }

    /// The manifest of a domain below the root.
    static func manifestName(_ options: DatasetOptions) -> String { options.annotations ?? "manifest.json" }

    /// Checks the manifest, without opening an image; records every fault.
    static func checkCoSAM(_ options: DatasetOptions, limit: Int) throws(DatasetError) -> AnnotationReport {
        var report = AnnotationReport(limit: limit)
        _ = DomainManifest(manifestName(options), in: try AnnotatedFolder(options), &report)
        return report
    }
}
