public import Imaging

/// Where a data set lies and how its labels are to be read.
public struct DatasetOptions: Equatable, Sendable {
    /// The data set's folder.
    public var root: String
    /// The folder of images inside `root`.
    public var imagesFolder: String
    /// The folder of label files inside `root`.
    public var labelsFolder: String
    /// If set, label files are images and every pixel above this value belongs to one single instance.
    public var binariseThreshold: UInt8?
    /// Whether the orientation that a camera noted in a JPEG file is applied to images.
    public var exif: ImageFile.ExifOrientation
    /// Whether symbolic links may lead out of `root`.
    public var followsSymlinks: Bool
    /// The annotation file inside `root`, for formats that have one; nil is where the format has it by custom.
    public var annotations: String?
    /// How doubtful annotations are taken.
    public var labelRules: LabelRules

    /// How doubtful annotations are taken, where WeSAM's released code takes them in a way of its own.
    public enum LabelRules: String, Sendable {
        /// As the annotations mean them.
        case corrected
        /// As the released code takes them, to repeat its results.
        case released
    }

    /// Creates options.
    public init(
        root: String, imagesFolder: String = "images", labelsFolder: String = "labels", binariseThreshold: UInt8? = nil,
        exif: ImageFile.ExifOrientation = .ignore, followsSymlinks: Bool = false, annotations: String? = nil,
        labelRules: LabelRules = .corrected
    ) {
        self.root = root
        self.imagesFolder = imagesFolder
        self.exif = exif
        self.labelsFolder = labelsFolder
        self.binariseThreshold = binariseThreshold
        self.followsSymlinks = followsSymlinks
        self.annotations = annotations
        self.labelRules = labelRules
    }
}

/// The data sets Kedge knows by name.
public enum DatasetRegistry {
    /// Makes a data set of its options. Throws `DatasetError`.
    public typealias Constructor = @Sendable (DatasetOptions) throws -> any SegmentationDataset

    /// One line per data set, by name.
    private static let constructors: [(name: String, open: Constructor)] = [
        ("folder", { try FolderDataset($0) }),
        ("folder-components", { try FolderDataset($0, labels: .components) }),
        ("folder-instances", { try FolderDataset($0, labels: .files) }),
        ("images", { try FolderDataset($0, labels: .none) }),
        ("coco", { try COCODataset($0) }),
        ("labelme", { try LabelMeDataset($0) }),
        ("manifest", { try ManifestDataset($0) }),
        ("camo", { try LabelledImages.camo($0) }),
        ("chameleon", { try LabelledImages.chameleon($0) }),
        ("coconut", { try COCODataset.coconut($0) }),
        ("cod10k", { try LabelledImages.cod10k($0) }),
        ("gdd", { try LabelledImages.gdd($0) }),
        ("isic2016", { try LabelledImages.isic2016($0) }),
        ("istd", { try LabelledImages.istd($0) }),
        ("kvasir-seg", { try LabelledImages.kvasirSEG($0) }),
        ("msd", { try LabelledImages.msd($0) }),
        ("ocid", { try LabelledImages.ocid($0) }),
        ("osd", { try LabelledImages.osd($0) }),
        ("pascal-voc", { try LabelledImages.pascalVOC($0) }),
        ("sa-1b", { try SA1BDataset($0) }),
    ]

    /// The known names, in order.
    public static var names: [String] { constructors.map(\.name).sorted() }

    /// Opens a data set by its name. Throws `DatasetError`, which names the known data sets if this one is not.
    public static func open(_ name: String, _ options: DatasetOptions) throws -> any SegmentationDataset {
        guard let entry = constructors.first(where: { $0.name == name }) else {
            throw DatasetError(
                .unknownDataset, at: "data set '\(name)'", "no such data set",
                remedy: "choose one of: " + names.joined(separator: ", "))
        }
        return try entry.open(options)
    }
}
