public import Datasets
import PlainText

/// The findings of a check of a data set: its contents, and everything wrong or doubtful about it.
public struct DatasetFindings: Sendable {
    /// The kind of a problem; errors come first.
    public enum Kind: String, CaseIterable, Sendable {
        /// The data set as a whole cannot be opened.
        case unusable = "the data set cannot be opened"
        /// An annotation breaks a rule of its format.
        case annotation = "annotations that break a rule"
        /// Two files claim the same image or the same label.
        case ambiguousName = "files of the same name"
        /// An image has no label file.
        case missingLabel = "images without a label file"
        /// A file cannot be read or decoded.
        case unreadable = "files that cannot be read"
        /// A label is not as large as its image.
        case sizeMismatch = "labels of another size than their image"
        /// A link leads out of the data set.
        case outsideRoot = "links out of the data set"
        /// A sample is not what the manifest of the data set says.
        case changedSample = "samples with another content than the manifest states"
        /// The labels hold no instance at all.
        case noInstance = "labels without a single instance"
        /// Image files that are of no use where they are.
        case unusedImage = "image files that are not used"
        /// An image whose stored rows and columns are not those of the picture that a viewer shows.
        case orientation =
            "images with an orientation that is not applied (data.exif=apply, if labels were drawn upright)"
        /// Annotations that mark crowds.
        case crowd = "annotations with iscrowd 1"
        /// A box that is far from the box of its mask.
        case misfitBox = "boxes that do not fit their masks (IoU with the box around the mask below 0.5)"
        /// Label values that are no numbers of instances.
        case labelValues = "label values that do not look like instance numbers"
        /// An annotation that is used, but not exactly as written.
        case annotationWarning = "annotations that are not used as they stand"
        /// A label file belongs to no image.
        case unusedLabel = "label files without an image"
        /// An image without annotations.
        case unlistedImage = "image files that no annotation names"
        /// Many tiny instances, typical of a label with smoothed edges or from a JPEG file.
        case antiAliased = "labels that look smoothed or compressed (for one object per image set data.binarise)"
        /// Instances of a few pixels.
        case tinyInstance = "instances of fewer than 10 pixels"
        /// An instance that covers nearly the whole image.
        case wholeImage = "instances that cover more than 95 % of their image"
        /// A box that extends beyond the image.
        case boxOutside = "boxes that leave their image"
        /// Of an image of more than 8 bits only a few levels are left by taking the high 8.
        case fewLevels = "images whose high 8 bits hold few levels (data.intensity=auto scales them)"
        /// A mask too small to be a sample of its own.
        case speck = "masks of fewer than 10 pixels, which give no sample"
        /// An image of which no sample is made.
        case imageWithoutMask = "images without a mask, which give no sample"
        /// Two images with identical pixels.
        case duplicateImage = "images with the pixels of another"

        /// True if a run cannot use the data set, or not all of it.
        public var isError: Bool {
            switch self {
            case .unusable, .annotation, .ambiguousName, .missingLabel, .unreadable, .sizeMismatch, .outsideRoot,
                .changedSample, .noInstance:
                true
            default: false
            }
        }
    }

    /// Maximum number of lines kept per kind; further ones are counted.
    static let lineLimit = 10_000

    /// The name of the format.
    public let format: String
    /// The data set's folder.
    public let root: String
    /// Images that were checked.
    public internal(set) var images = 0
    /// Images that could be read with their labels.
    public internal(set) var usableImages = 0
    /// Images that the samples are made of, where a sample is an image with one mask; nil where it is an image.
    public internal(set) var imagesOfSamples: Int?
    /// Images of the data set that were not checked.
    public internal(set) var imagesLeftOut = 0
    /// True if labels were read; false if the data set could not be opened.
    public internal(set) var hasReadLabels = false
    /// True if a run would refuse the data set as a whole for something that the check has left out.
    var isRefused = false
    /// Width and height of every image that could be decoded.
    public internal(set) var sizes: [SIMD2<Int32>] = []
    /// Depth and values of the images that are not used as they are: of more than 8 bits, or scaled.
    public internal(set) var depths: [DepthSummary] = []
    /// Instances of every usable image.
    public internal(set) var instances: [Int32] = []
    /// The fraction of its image that each instance covers, by its mask or else its box.
    public internal(set) var areas: [Float] = []
    /// Usable images whose instances have masks, boxes and points of their own.
    public internal(set) var imagesWith = (masks: 0, boxes: 0, points: 0)
    /// The labels of every usable image with an instance.
    public internal(set) var labelKinds: [LabelKinds] = []
    /// Pixels of all usable images, and those of them that belong to an instance by its mask.
    public internal(set) var pixels = (all: 0, labelled: 0)

    private var lines: [Kind: [String]] = [:]
    private var counts: [Kind: Int] = [:]

    /// Where the run's prompts come from.
    let prompts: PromptSource

    init(format: String, root: String, prompts: PromptSource = .simulated) {
        (self.format, self.root, self.prompts) = (format, root, prompts)
    }

    /// Records a problem.
    mutating func add(_ kind: Kind, _ line: String, count: Int = 1) {
        counts[kind, default: 0] += count
        if lines[kind, default: []].count < Self.lineLimit { lines[kind, default: []].append(line.onOneLine) }
    }

    /// The number of problems of a kind.
    public func count(_ kind: Kind) -> Int { counts[kind] ?? 0 }

    /// The problems of a kind, one per line, in the order they were found, at most 10,000.
    public func problems(_ kind: Kind) -> [String] { lines[kind] ?? [] }

    /// Problems that make images unusable.
    public var errors: Int { Kind.allCases.reduce(0) { $0 + ($1.isError ? count($1) : 0) } }

    /// Doubtful findings.
    public var warnings: Int { Kind.allCases.reduce(0) { $0 + ($1.isError ? 0 : count($1)) } }

    /// True if all errors are those of single images, so that a run can leave these out.
    public var canSkipErrors: Bool {
        hasReadLabels && !isRefused && usableImages > 0 && count(.unusable) == 0 && count(.noInstance) == 0
    }

    /// True if there are no errors; there may be warnings.
    public var isUsable: Bool { errors == 0 }
}
