/// Checks of a whole data set that report every fault instead of only the first.
public enum AnnotationCheck {
    private typealias Check = @Sendable (DatasetOptions, Int) throws(DatasetError) -> AnnotationReport

    /// One line per format that has annotation files.
    private static let checks: [(format: String, run: Check)] = [
        ("bsdata", { options, limit throws(DatasetError) in try LabelMeDataset.checkBSData(options, limit: limit) }),
        ("coco", { options, limit throws(DatasetError) in try COCODataset.check(options, limit: limit) }),
        ("coconut", { options, limit throws(DatasetError) in try COCODataset.checkCOCONut(options, limit: limit) }),
        ("cosam", { options, limit throws(DatasetError) in try LabelledImages.checkCoSAM(options, limit: limit) }),
        (
            "isic2016",
            { options, limit throws(DatasetError) in try LabelledImages.checkISIC2016(options, limit: limit) }
        ),
        (
            "kvasir-seg",
            { options, limit throws(DatasetError) in try LabelledImages.checkKvasirSEG(options, limit: limit) }
        ),
        ("labelme", { options, limit throws(DatasetError) in try LabelMeDataset.check(options, limit: limit) }),
        ("manifest", { options, limit throws(DatasetError) in try ManifestDataset.check(options, limit: limit) }),
        ("sa-1b", { options, limit throws(DatasetError) in try SA1BDataset.check(options, limit: limit) }),
    ]

    /// The formats that can be checked, in order.
    public static var formats: [String] { checks.map(\.format).sorted() }

    /// Checks annotations and, by their headers, images; nil if the format has no annotation files.
    ///
    /// - Parameter limit: Maximum faults listed in the report; more are counted.
    /// - Throws: `DatasetError` if there is nothing to check.
    public static func run(
        format: String, _ options: DatasetOptions, limit: Int = 10_000
    ) throws(DatasetError) -> AnnotationReport? {
        guard let check = checks.first(where: { $0.format == format }) else { return nil }
        return try check.run(options, limit)
    }
}
