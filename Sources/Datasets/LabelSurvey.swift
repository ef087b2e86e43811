import Imaging

/// The surveys of many images, added up.
public struct LabelSurvey: Equatable, Sendable {
    /// Images that were looked at.
    public private(set) var images = 0
    /// Labelled instances.
    public private(set) var instances = 0
    /// Annotations left out because they mark crowds.
    public private(set) var crowds = 0
    /// Annotations that mark crowds but are read as instances, since the file's masks are all marked so.
    public private(set) var crowdsTaken = 0
    /// Annotations left out because they have no size or no pixel.
    public private(set) var withoutPixels = 0
    /// Annotated boxes of instances that have a mask too.
    public private(set) var boxesWithMask = 0
    /// Those of them that are far from the mask.
    public private(set) var misfits = 0
    /// Images whose file states an orientation that is not applied.
    public private(set) var turned = 0
    /// Those of them that state a quarter turn.
    public private(set) var quarterTurns = 0

    /// Nothing yet.
    public init() {}

    /// Adds an image.
    public mutating func add(_ survey: ImageSurvey) {
        images += 1
        instances += survey.instances
        crowds += survey.crowds
        crowdsTaken += survey.crowdsTaken
        withoutPixels += survey.withoutPixels
        boxesWithMask += survey.boxesWithMask
        misfits += survey.misfits
        turned += survey.orientation == nil ? 0 : 1
        quarterTurns += survey.orientation?.swapsSides == true ? 1 : 0
    }

    /// Adds the images of another survey.
    public mutating func add(_ other: LabelSurvey) {
        for part in Self.counts { self[keyPath: part] += other[keyPath: part] }
    }

    private static var counts: [WritableKeyPath<LabelSurvey, Int>] {
        [
            \.images, \.instances, \.crowds, \.crowdsTaken, \.withoutPixels, \.boxesWithMask, \.misfits, \.turned,
            \.quarterTurns,
        ]
    }

    /// The counts as numbers, in a fixed order, for an exchange between ranks.
    package var numbers: [Int] { Self.counts.map { self[keyPath: $0] } }

    /// Reads counts.
    package init?(numbers: [Int]) {
        guard numbers.count == Self.counts.count else { return nil }
        for (part, number) in zip(Self.counts, numbers) { self[keyPath: part] = number }
    }
}

// Findings in words.
extension LabelSurvey {
    /// What a user should know about labels that are read otherwise than they may be meant, one line each.
    ///
    /// - Parameter usesBoxes: Whether annotated boxes serve as prompts.
    package func warnings(usesBoxes: Bool) -> [String] {
        var lines: [String] = []
        if turned > 0 {
            let quarter = quarterTurns > 0 ? " (\(quarterTurns) a quarter turn)" : ""
            lines.append(
                "\(turned) of \(images) images state an Exif orientation that is not applied\(quarter); if the labels "
                    + "were drawn on the upright picture, set data.exif=apply")
        }
        if crowds > 0 {
            lines.append(
                Self.number(crowds, "annotation") + " with iscrowd 1 left out; data.crowds=take reads them as instances"
            )
        }
        if crowdsTaken > 0 {
            lines.append(
                Self.number(crowdsTaken, "annotation")
                    + " with iscrowd 1 read as instances, since every run-length mask of "
                    + "the file is marked so; data.crowds=skip leaves them out")
        }
        if usesBoxes, misfits > 0 {
            lines.append(
                "\(misfits) of \(boxesWithMask) annotated boxes do not fit their masks (IoU with the box around the mask "
                    + "below \(Box.leastFit)) and serve as prompts; run kedge data check")
        }
        return lines
    }

    /// Why there is no instance, and the remedy.
    package func reasonWithoutInstances(
        format: String, _ options: DatasetOptions
    ) -> (problem: String, remedy: String) {
        let automatic = ", or set prompts.source=automatic"
        if format == "images" {
            return ("the format images has no labels", "set prompts.source=automatic, as recipes/no-labels.yaml does")
        }
        if crowds > 0 {
            return (
                Self.number(crowds, "annotation") + " with iscrowd 1 left out as crowds",
                "set data.crowds=take to read them as instances\(automatic)"
            )
        }
        if withoutPixels > 0 {
            return (
                Self.number(withoutPixels, "annotation") + " without width, height or a pixel left out",
                "correct the annotations\(automatic)"
            )
        }
        let annotated = ["bsdata", "coco", "coconut", "labelme", "manifest", "sa-1b"]
        guard !annotated.contains(format) else {
            return ("the annotations list none", "annotate the images\(automatic)")
        }
        if let threshold = options.binariseThreshold {
            return (
                "no value in its label images is above data.binarise=\(threshold)", "lower data.binarise\(automatic)"
            )
        }
        return (
            "its label images are 0 everywhere", "write the numbers of the instances, from 1, into them\(automatic)"
        )
    }

    static func number(_ count: Int, _ name: String) -> String { "\(count) \(name)" + (count == 1 ? "" : "s") }
}
