import Foundation

// A mask's coarse outline, after the coarse prompts of WeSAM's released data loaders: the outer border of the mask's
// largest part, simplified with the tolerance
//   eps = max(0.05 perimeter, 3 pixels)
// at the original resolution. The released code uses the border that OpenCV happens to list first, which for a mask of
// several parts may be any of them.

/// A rough outline of one instance, drawn by hand or derived from its mask.
struct CoarseOutline: Sendable {
    /// Minimum tolerance of the simplification, pixels of the original image.
    static let leastTolerance = 3.0
    /// Tolerance per pixel of the perimeter.
    static let relativeTolerance = 0.05

    /// The box around it, in the original image.
    let box: Box
    private let polygon: Polygon

    /// The annotated polygon, or the simplified outline of the mask; nil if the sample has neither.
    ///
    /// A simplified outline without width or height is replaced by the mask's tight rectangle.
    init?(_ sample: Sample, _ instance: Int, _ source: PromptSource) {
        if source != .annotations, let masks = sample.instances {
            guard let tight = masks.box(of: instance) else { return nil }
            (polygon, box) = Self.simplified(masks, instance, tight)
        } else if let drawn = sample.polygons?[instance], let bounds = drawn.bounds {
            (polygon, box) = (drawn, bounds)
        } else {
            return nil
        }
    }

    private static func simplified(_ masks: InstanceMasks, _ instance: Int, _ tight: Box) -> (Polygon, Box) {
        let chain = Outline.ofLargestPart(masks.bitmap(of: instance), width: masks.width, height: masks.height)
        let tolerance = max(relativeTolerance * Outline.perimeter(chain), leastTolerance)
        let corners = Outline.simplified(chain, tolerance: tolerance)
        let (columns, rows) = (corners.map { Double($0.x) }, corners.map { Double($0.y) })
        guard let x0 = columns.min(), let x1 = columns.max(), let y0 = rows.min(), let y1 = rows.max(), x0 < x1, y0 < y1
        else { return (Polygon(tight), tight) }
        // Vertices are pixels; an outline passes through their centres.
        let middles = corners.map { Polygon.Vertex(x: Double($0.x) + 0.5, y: Double($0.y) + 0.5) }
        return (Polygon(vertices: middles), Box(x0: x0, y0: y0, x1: x1, y1: y1))
    }

    /// The centre of the box around it.
    var middle: (x: Double, y: Double) { ((box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2) }

    /// Whether a point of the original image is inside, by the even-odd rule.
    func contains(x: Double, y: Double) -> Bool {
        guard var previous = polygon.vertices.last else { return false }
        var isInside = false
        for vertex in polygon.vertices {
            if (vertex.y > y) != (previous.y > y) {
                let share = (y - vertex.y) / (previous.y - vertex.y)
                if x < vertex.x + share * (previous.x - vertex.x) { isInside.toggle() }
            }
            previous = vertex
        }
        return isInside
    }
}

extension Polygon {
    /// The corners of a box.
    init(_ box: Box) {
        self.init(vertices: [
            Vertex(x: box.x0, y: box.y0), Vertex(x: box.x1, y: box.y0), Vertex(x: box.x1, y: box.y1),
            Vertex(x: box.x0, y: box.y1),
        ])
    }

    /// The box around the vertices; nil without width or height.
    package var bounds: Box? {
        let (columns, rows) = (vertices.map(\.x), vertices.map(\.y))
        guard let x0 = columns.min(), let x1 = columns.max(), let y0 = rows.min(), let y1 = rows.max(), x0 < x1, y0 < y1
        else { return nil }
        return Box(x0: x0, y0: y0, x1: x1, y1: y1)
    }
}
