public import Imaging

/// What the labels of one image hold, found without decoding the image.
public struct ImageSurvey: Equatable, Sendable {
    /// Labelled instances of any kind of label.
    public var instances: Int
    /// The kinds of label that all of them have.
    public var kinds: LabelKinds
    /// Annotations left out because they mark crowds.
    public var crowds = 0
    /// Annotations that mark crowds but are read as instances, since the file's masks are all marked so.
    public var crowdsTaken = 0
    /// Annotations left out because they have no size or no pixel.
    public var withoutPixels = 0
    /// Annotated boxes of instances that have a mask too.
    public var boxesWithMask = 0
    /// Those of them that are far from the box around the mask.
    public var misfits = 0
    /// The orientation that the image file states and that is not applied.
    public var orientation: Orientation?

    /// Creates a survey; the counts besides the instances are 0.
    public init(instances: Int, kinds: LabelKinds, orientation: Orientation? = nil) {
        (self.instances, self.kinds, self.orientation) = (instances, kinds, orientation)
    }
}

extension Box {
    /// An annotated box below this IoU with the box around its mask does not fit the mask.
    package static let leastFit = 0.5

    /// The intersection over union with another box; 0 if neither has an area.
    package func intersectionOverUnion(_ other: Box) -> Double {
        let overlap =
            max(0, min(x1, other.x1) - max(x0, other.x0)) * max(0, min(y1, other.y1) - max(y0, other.y0))
        let union = (x1 - x0) * (y1 - y0) + (other.x1 - other.x0) * (other.y1 - other.y0) - overlap
        return union > 0 ? overlap / union : 0
    }
}

extension InstanceLabels {
    /// The survey of the labels. Throws `DatasetError` if they have no kind of label in common.
    func survey(location: String, orientation: Orientation?) throws(DatasetError) -> ImageSurvey {
        try check(location: location)
        var survey = ImageSurvey(instances: instances.count, kinds: kinds, orientation: orientation)
        for instance in instances {
            guard let box = instance.box, let tight = instance.tightBox else { continue }
            survey.boxesWithMask += 1
            if box.intersectionOverUnion(tight) < Box.leastFit { survey.misfits += 1 }
        }
        return survey
    }
}

extension ImageSurvey {
    /// The survey of masks with annotated boxes.
    init(masks: InstanceMasks, boxes: [Box]?, orientation: Orientation?) {
        self.init(
            instances: masks.count, kinds: boxes == nil ? .masks : [.masks, .boxes], orientation: orientation)
        for (instance, box) in (boxes ?? []).enumerated() {
            guard let tight = masks.box(of: instance) else { continue }
            boxesWithMask += 1
            if box.intersectionOverUnion(tight) < Box.leastFit { misfits += 1 }
        }
    }
}
