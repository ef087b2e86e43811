/// Receives a fault of a data set that is being opened; if it returns, the part at fault is skipped and reading continues.
package typealias DatasetNote = (DatasetError) throws(DatasetError) -> Void

/// The data sets Kedge knows by name.
public enum DatasetRegistry {
    private typealias Constructor = @Sendable (DatasetOptions, DatasetNote) throws -> any SegmentationDataset

    /// Formats of which a sample is an image with one of its masks, unless `data.samples` says otherwise.
    private static let masked = ["bsdata", "mvtec-1", "mvtec-2", "mvtec-3", "mvtec-ad", "rsdds-1", "rsdds-2"]

    /// One line per data set, by name.
    private static let constructors: [(name: String, open: Constructor)] = [
        ("folder", { try FolderDataset($0, noting: $1) }),
        ("folder-components", { try FolderDataset($0, labels: .components, noting: $1) }),
        ("folder-instances", { try FolderDataset($0, labels: .files, noting: $1) }),
        ("images", { try FolderDataset($0, labels: .none, noting: $1) }),
        ("coco", { options, _ in try COCODataset(options) }),
        ("labelme", { options, _ in try LabelMeDataset(options) }),
        ("manifest", { options, _ in try ManifestDataset(options) }),
        ("bsdata", { options, _ in try LabelMeDataset.bsData(options) }),
        ("camo", { options, _ in try LabelledImages.camo(options) }),
        ("chameleon", { options, _ in try LabelledImages.chameleon(options) }),
        ("coconut", { options, _ in try COCODataset.coconut(options) }),
        ("cod10k", { options, _ in try LabelledImages.cod10k(options) }),
        ("cosam", { try LabelledImages.coSAM($0, noting: $1) }),
        ("gdd", { options, _ in try LabelledImages.gdd(options) }),
        ("isic2016", { try LabelledImages.isic2016($0, noting: $1) }),
        ("istd", { options, _ in try LabelledImages.istd(options) }),
        ("kvasir-seg", { try LabelledImages.kvasirSEG($0, noting: $1) }),
        ("kvasir-sessile", { options, _ in try LabelledImages.kvasirSessile(options) }),
        ("msd", { options, _ in try LabelledImages.msd(options) }),
        ("mvtec-1", { options, _ in try LabelledImages.mvtecAD(options, MVTecGroup.first) }),
        ("mvtec-2", { options, _ in try LabelledImages.mvtecAD(options, MVTecGroup.second) }),
        ("mvtec-3", { options, _ in try LabelledImages.mvtecAD(options, MVTecGroup.third) }),
        ("mvtec-ad", { options, _ in try LabelledImages.mvtecAD(options, nil) }),
        ("ocid", { options, _ in try LabelledImages.ocid(options) }),
        ("osd", { options, _ in try LabelledImages.osd(options) }),
        ("pascal-voc", { options, _ in try LabelledImages.pascalVOC(options) }),
        ("rsdds-1", { options, _ in try LabelledImages.rsdds(options, type: "I") }),
        ("rsdds-2", { options, _ in try LabelledImages.rsdds(options, type: "II") }),
        ("sa-1b", { try SA1BDataset($0, noting: $1) }),
    ]

    /// The known names, in order.
    public static var names: [String] { constructors.map(\.name).sorted() }

    /// Opens a data set by its name. Throws `DatasetError`, which lists the known data sets for an unknown name.
    public static func open(_ name: String, _ options: DatasetOptions) throws -> any SegmentationDataset {
        try open(name, options, noting: refuse)
    }

    /// Opens a data set by its name, leaving out what `note` lets pass. Throws `DatasetError`.
    package static func open(
        _ name: String, _ options: DatasetOptions, noting note: DatasetNote
    ) throws -> any SegmentationDataset {
        guard let entry = constructors.first(where: { $0.name == name }) else {
            throw DatasetError(
                .unknownDataset, at: "data set '\(name)'", "no such data set",
                remedy: "choose one of: " + names.joined(separator: ", "))
        }
        let dataset = try entry.open(options, note)
        let unit = sampleUnit(name, options)
        return unit == .image ? dataset : try SingleMaskDataset(dataset, unit)
    }

    /// What one sample of a format is: what the options say, else what the format defines.
    package static func sampleUnit(_ name: String, _ options: DatasetOptions) -> SampleUnit {
        guard options.samples == .auto else { return options.samples }
        return masked.contains(name) ? .instance : .image
    }

    /// A note that accepts no fault.
    package static func refuse(_ error: DatasetError) throws(DatasetError) { throw error }
}
