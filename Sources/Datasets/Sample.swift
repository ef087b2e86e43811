public import Imaging
public import Interaction

/// A rectangle in pixels on continuous axes: pixel (x, y) covers [x, x + 1) x [y, y + 1), right and bottom are exclusive.
public struct Box: Equatable, Sendable {
    /// The left edge.
    public var x0: Double
    /// The top edge.
    public var y0: Double
    /// The right edge, exclusive.
    public var x1: Double
    /// The bottom edge, exclusive.
    public var y1: Double

    /// The pixel in its middle, as a point on the object.
    var middle: LabelledPoint {
        LabelledPoint(
            x: ((x0 + x1) / 2).rounded(.down), y: ((y0 + y1) / 2).rounded(.down), isForeground: true)
    }

    /// Creates a box from its corners.
    public init(x0: Double, y0: Double, x1: Double, y1: Double) {
        self.x0 = x0
        self.y0 = y0
        self.x1 = x1
        self.y1 = y1
    }
}

/// A point prompt from an annotator: the indices of a pixel and whether it is on the object.
public struct LabelledPoint: Equatable, Sendable {
    /// The pixel's column.
    public var x: Double
    /// The pixel's row.
    public var y: Double
    /// True on the object, false on the background.
    public var isForeground: Bool

    /// Creates a point.
    public init(x: Double, y: Double, isForeground: Bool) {
        self.x = x
        self.y = y
        self.isForeground = isForeground
    }
}

/// The outline of an instance as a closed chain of vertices on the axes of `Box`.
public struct Polygon: Equatable, Sendable {
    /// One vertex.
    public struct Vertex: Equatable, Sendable {
        /// Distance from the left edge of the image.
        public var x: Double
        /// Distance from the top edge of the image.
        public var y: Double

        /// Creates a vertex.
        public init(x: Double, y: Double) {
            self.x = x
            self.y = y
        }
    }

    /// The vertices in order; the last joins the first.
    public var vertices: [Vertex]

    /// Creates a polygon from its vertices.
    public init(vertices: [Vertex]) {
        self.vertices = vertices
    }

    /// Creates a polygon from x and y of every vertex in turn.
    init(coordinates: [Double]) {
        vertices = stride(from: 0, to: coordinates.count - 1, by: 2).map {
            Vertex(x: coordinates[$0], y: coordinates[$0 + 1])
        }
    }

    /// The enclosed area, |sum over edges of x0 y1 - x1 y0| / 2, in square pixels; overlapping parts count twice.
    public var area: Double {
        var twice = 0.0
        for (index, vertex) in vertices.enumerated() {
            let next = vertices[(index + 1) % vertices.count]
            twice += vertex.x * next.y - next.x * vertex.y
        }
        return abs(twice) / 2
    }
}

/// One image of a data set with its labels of any kind.
///
/// The label lists that are present are parallel: entry k of each describes instance k.
public struct Sample: Sendable {
    /// A name that is unique in the data set, usually the file's stem.
    public var id: String
    /// The image, RGB, `[H, W, 3]`.
    public var image: Image
    /// One mask per instance at the image's resolution, `[n, H, W]`; `nil` if the data set has no masks.
    public var instances: InstanceMasks?
    /// One annotated box per instance; `nil` means the tight boxes of the masks.
    public var boxes: [Box]?
    /// The annotated points of each instance; `nil` means points drawn from the masks.
    public var points: [[LabelledPoint]]?
    /// One annotated outline per instance, for an instance in several pieces the largest; `nil` unless all have one.
    public var polygons: [Polygon]?
    /// The stored value of each instance, of labels that are values of an image.
    package var values: [UInt16]?
    /// The orientation that the image file states and that is not applied.
    public var orientation: Orientation?
    /// How far the masks can be trusted, if they are pseudo-masks for which that is known.
    public var maps: PseudoMaps?
    /// The kind of task of the masks.
    public var task = TaskKind.none

    /// Creates a sample; omit the labels the data set does not have.
    public init(
        id: String, image: Image, instances: InstanceMasks? = nil, boxes: [Box]? = nil,
        points: [[LabelledPoint]]? = nil, polygons: [Polygon]? = nil
    ) {
        let counts = [instances?.count, boxes?.count, points?.count, polygons?.count].compactMap { $0 }
        precondition(counts.allSatisfy { $0 == counts[0] }, "the label lists of \(id) differ in length: \(counts)")
        self.id = id
        self.image = image
        self.instances = instances
        self.boxes = boxes
        self.points = points
        self.polygons = polygons
    }

    /// The number of labelled instances of any kind of label.
    public var instanceCount: Int { instances?.count ?? boxes?.count ?? points?.count ?? polygons?.count ?? 0 }
}
