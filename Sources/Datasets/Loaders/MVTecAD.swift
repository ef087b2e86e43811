/// The groups of MVTec AD's categories that stand for one domain each in the CoSAM benchmark.
///
/// Which categories its authors grouped was not published. This choice is Kedge's own: textures, and two pairs of objects with
/// about as many defective images as the benchmark's run times suggest.
enum MVTecGroup {
    /// The five textures, 382 defective images.
    static let first = ["carpet", "grid", "leather", "tile", "wood"]
    /// 171 defective images.
    static let second = ["pill", "toothbrush"]
    /// 133 defective images.
    static let third = ["bottle", "hazelnut"]
}

extension LabelledImages {
    /// MVTec AD, defects of industrial products (Bergmann et al. 2019): `CATEGORY/test/DEFECT/NAME.png` with
    /// `CATEGORY/ground_truth/DEFECT/NAME_mask.png`; images without a defect (`good`, `train`) are not used.
    ///
    /// Each piece of the mask above 128, or above `data.binarise`, is a defect. The published parts are made for detection and
    /// train on images without defects, so four fifths of the defective ones train, drawn with a fixed seed.
    ///
    /// - Parameter categories: Nil for all that the folder holds, in order.
    static func mvtecAD(
        _ options: DatasetOptions, _ categories: [String]?
    ) throws(DatasetError) -> LabelledImages {
        let folder = try AnnotatedFolder(options)
        let present = try folder.folders(in: "").filter { folder.isFolder($0 + "/ground_truth") }
        var entries: [Entry] = []
        for category in categories ?? present {
            for defect in try folder.folders(in: category + "/test") where defect != "good" {
                entries += try defective(category, defect, in: folder)
            }
        }
        guard !entries.isEmpty else {
            throw DatasetError(
                .emptyDataset, at: folder.root,
                "holds no image of a defect, as in \(categories?.first ?? "CATEGORY")/test/DEFECT/000.png",
                remedy: "name the folder that holds the categories in data.root")
        }
        return LabelledImages(
            folder, entries, split: KToOneSplit.drawn.apply(count: entries.count),
            LabelReading.components(maskAbove(options)))
    }

    /// The images of one kind of defect, in order of their names.
    private static func defective(
        _ category: String, _ defect: String, in folder: AnnotatedFolder
    ) throws(DatasetError) -> [Entry] {
        let (images, masks) = ("\(category)/test/\(defect)", "\(category)/ground_truth/\(defect)")
        let present = folder.isFolder(masks) ? Set(try folder.names(in: masks, extensions: ["png"])) : []
        var entries: [Entry] = []
        for name in try files(images, ["png"], in: folder) {
            let stem = RelativePath.withoutExtension(name)
            let mask = stem + "_mask.png"
            entries.append(
                entry(
                    "\(category)/\(defect)/\(stem)", images + "/" + name,
                    present.contains(mask) ? masks + "/" + mask : nil, pattern: folder.path(masks + "/" + mask), folder)
            )
        }
        return entries
    }
}
