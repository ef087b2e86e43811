public import Imaging
public import Recipes

/// Where a data set lies and how its files are read: the keys of a recipe that loaders see.
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
    /// How images of any depth become the 8 bits the model reads.
    public var intensity = Intensity.Rule.auto
    /// What the range that `intensity` spreads is taken from.
    public var intensityScope = IntensityScope.image
    /// The ranges measured over a data set, if that is the scope; no key of a recipe.
    public var measuredRanges: Intensity.Ranges?
    /// Whether symbolic links may lead out of `root`.
    public var followsSymlinks: Bool
    /// The annotation file inside `root`, for formats that have one; nil for the format's default location.
    public var annotations: String?
    /// How doubtful annotations are read.
    public var labelRules: LabelRules

    /// What the range of intensities is taken from.
    public enum IntensityScope: String, CaseIterable, Sendable {
        /// Each image by itself.
        case image
        /// All images of the data set together.
        case dataset
    }

    /// How doubtful annotations are read, where WeSAM's released code reads them in its own way.
    public enum LabelRules: String, CaseIterable, Sendable {
        /// As the annotations mean them.
        case corrected
        /// As the released code reads them, to repeat its results.
        case released
    }

    /// Which annotations with `iscrowd` 1 are instances.
    public var crowds = Crowds.auto
    /// What one sample is.
    public var samples = SampleUnit.auto

    /// Which annotations of a COCO file that mark a crowd are instances.
    public enum Crowds: String, CaseIterable, Sendable {
        /// Runs, where every run-length mask of the file is marked, as CVAT writes masks; otherwise none.
        case auto
        /// None.
        case skip
        /// All.
        case take
    }

    /// Creates options.
    public init(
        root: String = "", imagesFolder: String = "images", labelsFolder: String = "labels",
        binariseThreshold: UInt8? = nil, exif: ImageFile.ExifOrientation = .ignore, followsSymlinks: Bool = false,
        annotations: String? = nil, labelRules: LabelRules = .corrected
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

extension DatasetOptions: RecipeSection {
    public init() { self.init(root: "") }

    public static let fields: [RecipeField<DatasetOptions>] = [
        .text("root", \.root, effect: .experiment, "Folder of the data set"),
        .text("images", \.imagesFolder, effect: .experiment, "Folder of the images, below the root"),
        .text("labels", \.labelsFolder, effect: .experiment, "Folder of the label images, below the root"),
        .optionalInteger(
            "binarise", \.binarise, 0...254,
            "Label values above this become one instance, all others background; "
                + "none reads values as instance numbers"),
        .choice("exif", \.exif, "What to do with the orientation stated in an image file"),
        .choice(
            "intensity", \.intensity,
            "How samples become 8 bits: auto leaves 8-bit images as they are and scales deeper ones by percentiles; "
                + "full takes the high 8 bits; minmax and percentile (1st to 99.9th) scale every image"),
        .choice(
            "intensityScope", \.intensityScope,
            "Take the range that intensity scales from each image, or from all images of the data set together"),
        .flag(
            "followSymlinks", \.followsSymlinks, effect: .experiment,
            "Follow symbolic links out of the data set's folder"),
        .optionalText(
            "annotations", \.annotations, effect: .experiment,
            "Annotation file or folder below the root, for formats that have one; none: the format's default location"),
        .choice(
            "labelRules", \.labelRules,
            "Doubtful annotations as they are meant, or as the released WeSAM code reads them"),
        .choice(
            "crowds", \.crowds,
            "Annotations with iscrowd 1: left out, taken as instances, or taken where the file's masks are all marked so"
        ),
        .choice(
            "samples", \.samples,
            "One sample: an image with all its instances, one with each of them, with the largest, or with their union; "
                + "auto as the format defines it"),
    ]

    public var faults: [SettingFault] {
        var faults: [SettingFault] = []
        if imagesFolder.isEmpty {
            faults.append(SettingFault(key: "images", rule: "must name the folder of the images below the root"))
        }
        if labelsFolder.isEmpty {
            faults.append(SettingFault(key: "labels", rule: "must name the folder of the labels below the root"))
        }
        if annotations?.isEmpty == true {
            faults.append(
                SettingFault(
                    key: "annotations",
                    rule: "must name a file or folder below the root; write none for the format's default location"))
        }
        return faults
    }

    /// How images are decoded.
    var reading: Intensity { Intensity(intensity, ranges: intensityScope == .dataset ? measuredRanges : nil) }

    /// Whether the ranges of the data set are still to be measured.
    public var needsRanges: Bool { intensityScope == .dataset && intensity != .full && measuredRanges == nil }

    private var binarise: Int? {
        get { binariseThreshold.map { Int($0) } }
        set { binariseThreshold = newValue.flatMap { UInt8(exactly: $0) } }
    }
}
