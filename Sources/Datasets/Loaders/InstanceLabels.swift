import Imaging

/// The labels of one instance.
struct InstanceLabel: Equatable {
    /// Masks whose union is the instance's; none if it has no mask.
    var masks: [RunLengthEncoding] = []
    /// The annotated box.
    var box: Box?
    /// Annotated points.
    var points: [LabelledPoint] = []
    /// The largest of the annotated polygons; nil if it has none.
    var polygon: Polygon?
}

/// The labels of the instances of one image.
///
/// A sample's lists describe the same instances, so it has the kinds of label that all instances have: masks if each
/// has one; boxes if each has one or a mask to derive it from; points if each has some; polygons if each has one.
struct InstanceLabels: Equatable {
    var instances: [InstanceLabel]

    init(_ instances: [InstanceLabel]) { self.instances = instances }

    var haveMasks: Bool { instances.allSatisfy { !$0.masks.isEmpty } }
    var haveBoxes: Bool { instances.allSatisfy { $0.box != nil || !$0.masks.isEmpty } }
    var havePoints: Bool { instances.allSatisfy { !$0.points.isEmpty } }
    private var havePolygons: Bool { instances.allSatisfy { $0.polygon != nil } }

    /// The fault of the labels as a whole: no kind that all instances have, or kinds that only some have.
    var problem: ShapeFault? {
        if !instances.isEmpty, !haveMasks, !haveBoxes, !havePoints {
            return ShapeFault(.noLabel, "no kind of label that all \(instances.count) instances have")
        }
        if !haveMasks, instances.contains(where: { !$0.masks.isEmpty }) {
            return ShapeFault(.partialLabels, "some instances have no mask, so the masks of the others are not used")
        }
        if !havePoints, instances.contains(where: { !$0.points.isEmpty }) {
            return ShapeFault(.partialLabels, "some instances have no points, so those of the others are not used")
        }
        return nil
    }

    /// The kinds of label that all instances have.
    var kinds: LabelKinds {
        var kinds: LabelKinds = []
        if haveMasks { kinds.insert(.masks) }
        if haveBoxes, instances.contains(where: { $0.box != nil }) { kinds.insert(.boxes) }
        if havePoints { kinds.insert(.points) }
        if havePolygons { kinds.insert(.polygons) }
        return kinds
    }

    /// Throws `DatasetError` if the instances have no kind of label in common.
    func check(location: String) throws(DatasetError) {
        guard let problem, problem.rule.severity == .error else { return }
        throw AnnotationFault(file: location, problem.rule, problem.found).error
    }

    /// A sample of the labels. Throws `DatasetError`.
    ///
    /// - Parameters:
    ///   - location: Replaces the annotation's location in errors.
    ///   - isLabelled: Whether zero instances mean that there is none, and not that the image was never labelled.
    func sample(
        id: String, image: Image, location: String, isLabelled: Bool = true
    ) throws(DatasetError) -> Sample {
        try check(location: location)
        var masks: InstanceMasks?
        if haveMasks, !instances.isEmpty || isLabelled {
            masks = try painted(width: image.width, height: image.height, location: location)
        }
        var boxes: [Box]?
        if haveBoxes, instances.contains(where: { $0.box != nil }) {
            boxes = []
            for (index, instance) in instances.enumerated() {
                guard let box = instance.box ?? masks?.box(of: index) ?? instance.tightBox else {
                    throw AnnotationFault(file: location, .noLabel, "instance \(index) has no pixel to box").error
                }
                boxes?.append(box)
            }
        }
        let points = havePoints && !instances.isEmpty ? instances.map(\.points) : nil
        let polygons = havePolygons && !instances.isEmpty ? instances.compactMap(\.polygon) : nil
        return Sample(id: id, image: image, instances: masks, boxes: boxes, points: points, polygons: polygons)
    }

    /// The masks; nil if not all instances have one. Throws `DatasetError`.
    func masks(width: Int, height: Int, location: String) throws(DatasetError) -> InstanceMasks? {
        try check(location: location)
        return haveMasks ? try painted(width: width, height: height, location: location) : nil
    }

    private func painted(width: Int, height: Int, location: String) throws(DatasetError) -> InstanceMasks {
        var masks = InstanceMasks(count: 0, width: width, height: height)
        for instance in instances {
            do throws(ShapeFault) {
                try masks.append(unionOf: instance.masks)
            } catch {
                throw AnnotationFault(file: location, error.rule, error.found).error
            }
            try masks.checkMemory(of: location)
        }
        return masks
    }
}

extension InstanceLabel {
    /// Keeps a polygon if it is larger than the present one.
    mutating func offer(polygon coordinates: [Double]) {
        let other = Polygon(coordinates: coordinates)
        if polygon.map({ other.area > $0.area }) ?? true { polygon = other }
    }

    /// Whether it has a mask without a pixel.
    var isEmptyMask: Bool { !masks.isEmpty && masks.allSatisfy { $0.area == 0 } }

    /// The tight rectangle around the masks; nil if there is no pixel.
    var tightBox: Box? {
        masks.compactMap(\.box).reduce(nil) { $1.joined(with: $0) }
    }
}

extension AnnotatedFolder {
    /// The error of an image whose size differs from that in its annotations.
    func sizeMismatch(
        _ image: String, is size: (width: Int, height: Int), not expected: (width: Int, height: Int)
    ) -> DatasetError {
        let turn = size == (expected.height, expected.width) ? remedyForTurn(image) : nil
        return DatasetError(
            .sizeMismatch, at: path(image),
            "is \(size.width)x\(size.height) but its annotations are for \(expected.width)x\(expected.height)",
            remedy: turn ?? "use the image that was annotated")
    }
}
