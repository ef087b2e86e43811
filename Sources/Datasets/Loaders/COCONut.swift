extension COCODataset {
    /// COCONut: COCO's images in `val2017` with new annotations, split 6:1 as COCO is.
    ///
    /// The annotations are at `data.annotations`, or where the published archive unpacks them, or else in
    /// `annotations/relabeled_instances_val.json`.
    static func coconut(_ options: DatasetOptions) throws(DatasetError) -> COCODataset {
        try COCODataset(coconutLayout(options))
    }

    /// Checks COCONut's annotations as `check(_:limit:)` does those of COCO.
    static func checkCOCONut(_ options: DatasetOptions, limit: Int) throws(DatasetError) -> AnnotationReport {
        try check(coconutLayout(options), limit: limit)
    }

    private static func coconutLayout(_ options: DatasetOptions) throws(DatasetError) -> DatasetOptions {
        var options = options
        options.imagesFolder = "val2017"
        if options.annotations == nil {
            let published = "coconut_dataset/annotations/annotations/relabeled_instances_val.json"
            let isThere = try AnnotatedFolder(options).exists(published)
            options.annotations = isThere ? published : "annotations/relabeled_instances_val.json"
        }
        return options
    }
}
