import Datasets
import Foundation
public import Imaging
public import Routing
public import SegmentAnything
public import Telemetry

/// The masks of one image as a JSON file that is both an SA-1B record and a COCO instances file.
///
/// SA-1B has a single `image` and, in each annotation, how it was generated; COCO has `images`, `categories` and, in
/// each annotation, the IDs of both.
public struct AutomaticMaskRecord: Encodable {
    struct ImageEntry: Encodable {
        let id: Int
        let image_id: Int
        let width: Int
        let height: Int
        let file_name: String
    }
    struct Category: Encodable {
        let id: Int
        let name: String
    }
    struct Segmentation: Encodable {
        let size: [Int]
        let counts: String
    }
    struct Annotation: Encodable {
        let id: Int
        let image_id: Int
        let category_id: Int
        let iscrowd: Int
        let bbox: [Int]
        let area: Int
        let segmentation: Segmentation
        let predicted_iou: Float
        let stability_score: Float
        let crop_box: [Int]
        let point_coords: [[Double]]
    }

    /// Where a pool's router sent the image.
    public struct Route: Encodable, Equatable, Sendable {
        /// The domain of the highest score.
        let domain: String
        /// Its score.
        let score: Double
        /// True if the image is unlike all domains, so that no adapter served it.
        let rejected: Bool
        /// Its distance from the nearest domain; nil without a rule of rejection.
        let distance: Double?
        /// The distance above which images are rejected; nil without a rule.
        let limit: Float?
        /// The same for people.
        public let line: String

        /// Describes a router's decision.
        public init(_ decision: RoutingDecision, by router: DomainRouter) {
            (domain, score, rejected) = (router.domains[decision.best], decision.score, decision.domain == nil)
            (distance, limit) = (decision.strangeness, router.rejection?.threshold)
            line = router.line(of: decision)
        }

        private enum CodingKeys: CodingKey { case domain, score, rejected, distance, limit }
    }

    let image: ImageEntry
    let images: [ImageEntry]
    let categories: [Category]
    let annotations: [Annotation]
    let routing: Route?

    /// Describes the masks of an image; annotation k is mask k - 1. As in SAM, boxes are x, y, width and height of the
    /// rectangle from the first to the last column and row, so they are one pixel smaller than the mask.
    ///
    /// - Parameter route: Where a router sent the image; nil without a pool.
    ///
    /// Throws `ShapeFault` for an image with more pixels than an encoding supports.
    public init(
        _ masks: [AutomaticMask], fileName: String, width: Int, height: Int, route: Route? = nil
    ) throws {
        routing = route
        image = ImageEntry(id: 1, image_id: 1, width: width, height: height, file_name: fileName)
        images = [image]
        categories = [Category(id: 1, name: "object")]
        annotations = try masks.enumerated().map { index, mask in
            Annotation(
                id: index + 1, image_id: 1, category_id: 1, iscrowd: 0, bbox: mask.extents.numbers,
                area: mask.mask.area,
                segmentation: Segmentation(size: [height, width], counts: try mask.mask.encoding().compressed),
                predicted_iou: mask.predictedIoU, stability_score: mask.stabilityScore, crop_box: mask.crop.numbers,
                point_coords: [[mask.point.x, mask.point.y]])
        }
    }

    /// The masks as annotation numbers, from 1; smaller masks lie over larger ones, and of equal ones the later over
    /// the earlier.
    ///
    /// Throws `RunError` for more masks than a label image can number.
    public static func labels(_ masks: [AutomaticMask], width: Int, height: Int) throws(RunError) -> LabelImage {
        guard masks.count <= Int(UInt16.max) else {
            throw RunError(
                .configuration, "\(masks.count) masks exceed the \(UInt16.max) of a label image",
                remedy: "raise the thresholds or use fewer points")
        }
        var image = LabelImage(width: width, height: height, labels: [UInt16](repeating: 0, count: width * height))
        let areas = masks.map(\.mask.area)
        for index in masks.indices.sorted(by: { areas[$0] != areas[$1] ? areas[$0] > areas[$1] : $0 < $1 }) {
            masks[index].mask.forEachColumnSpan { column, rows in
                for row in rows { image.labels[row * width + column] = UInt16(index + 1) }
            }
        }
        return image
    }

    /// Writes the file atomically. Throws `ImagingError`.
    public func write(to path: String) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        try ImageFile.write(Array(try encoder.encode(self)), to: path)
    }
}

extension PixelBox {
    /// x, y, width and height.
    fileprivate var numbers: [Int] { [x0, y0, width, height] }
}
