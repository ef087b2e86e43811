public import Imaging

/// Flips as a group, and their effect on labels.
extension Flip {
    /// An index from 0 to 3, for caches keyed by (image, flip): bit 0 horizontal, bit 1 vertical.
    public var index: Int { (isHorizontal ? 1 : 0) + (isVertical ? 2 : 0) }

    /// This flip followed by another.
    public func then(_ next: Flip) -> Flip {
        switch (isHorizontal != next.isHorizontal, isVertical != next.isVertical) {
        case (false, false): .none
        case (true, false): .horizontal
        case (false, true): .vertical
        case (true, true): .both
        }
    }

    /// The box mirrored in an image of the given size: x0' = W - x1, x1' = W - x0, and likewise for rows.
    public func apply(to box: Box, width: Int, height: Int) -> Box {
        var result = box
        if isHorizontal { (result.x0, result.x1) = (Double(width) - box.x1, Double(width) - box.x0) }
        if isVertical { (result.y0, result.y1) = (Double(height) - box.y1, Double(height) - box.y0) }
        return result
    }

    /// The point mirrored: a point is the index of a pixel, so x' = W - 1 - x.
    public func apply(to point: LabelledPoint, width: Int, height: Int) -> LabelledPoint {
        var result = point
        if isHorizontal { result.x = Double(width - 1) - point.x }
        if isVertical { result.y = Double(height - 1) - point.y }
        return result
    }

    /// The polygon mirrored: vertices are on continuous axes, so x' = W - x.
    public func apply(to polygon: Polygon, width: Int, height: Int) -> Polygon {
        Polygon(
            vertices: polygon.vertices.map { vertex in
                Polygon.Vertex(
                    x: isHorizontal ? Double(width) - vertex.x : vertex.x,
                    y: isVertical ? Double(height) - vertex.y : vertex.y)
            })
    }

    /// The sample with its image and all labels mirrored.
    public func apply(to sample: Sample) -> Sample {
        guard self != .none else { return sample }
        let (width, height) = (sample.image.width, sample.image.height)
        return Sample(
            id: sample.id, image: sample.image.flipped(self), instances: sample.instances?.flipped(self),
            boxes: sample.boxes?.map { apply(to: $0, width: width, height: height) },
            points: sample.points?.map { $0.map { apply(to: $0, width: width, height: height) } },
            polygons: sample.polygons?.map { apply(to: $0, width: width, height: height) })
    }
}
