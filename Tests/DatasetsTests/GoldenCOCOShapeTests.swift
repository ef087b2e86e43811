import Datasets
import Foundation
import Testing

/// One shape with the results of pycocotools, written by Fixtures/coco_shapes.py.
struct COCOShapeVector: Decodable {
    let w: Int
    let h: Int
    let polygon: [Double]?
    let bbox: [Double]?
    let rle: String
    let area: Int
    let box: [Double]
    let union: String?

    static func read(_ url: URL) throws -> [COCOShapeVector] {
        try Data(contentsOf: url).split(separator: UInt8(ascii: "\n")).map {
            try JSONDecoder().decode(COCOShapeVector.self, from: $0)
        }
    }

    /// Kedge's mask of the polygon or the box.
    func encoded() throws -> RunLengthEncoding {
        if let polygon { return try PolygonRasterisation.encode(polygon: polygon, width: w, height: h) }
        let bbox = try #require(bbox)
        let corners = Box(x0: bbox[0], y0: bbox[1], x1: bbox[0] + bbox[2], y1: bbox[1] + bbox[3])
        return try PolygonRasterisation.encode(box: corners, width: w, height: h)
    }

    /// The pixels of a text of runs, decoded without the code under test, down the columns.
    static func pixels(_ runs: RunLengthEncoding) -> [Bool] {
        runs.counts.enumerated().flatMap { [Bool](repeating: $0.offset % 2 == 1, count: Int($0.element)) }
    }
}

/// Masks of random shapes equal those of pycocotools, pixel by pixel.
@Suite struct GoldenCOCOShapeTests {
    /// The number of differing masks and results.
    struct Tally: Equatable {
        var shapes = 0
        var differingShapes = 0
        var differingPixels = 0
        var differingResults = 0
    }

    private func compare(_ vectors: [COCOShapeVector]) throws -> Tally {
        var tally = Tally()
        var last: RunLengthEncoding?
        for vector in vectors {
            tally.shapes += 1
            let ours = try vector.encoded()
            let theirs = try RunLengthEncoding(compressed: vector.rle, width: vector.w, height: vector.h)
            if ours != theirs {
                let pairs = zip(COCOShapeVector.pixels(ours), COCOShapeVector.pixels(theirs))
                tally.differingShapes += 1
                tally.differingPixels += pairs.reduce(0) { $0 + ($1.0 == $1.1 ? 0 : 1) }
            }
            var isSame = theirs.compressed == vector.rle && theirs.area == vector.area
            let box = theirs.box.map { [$0.x0, $0.y0, $0.x1 - $0.x0, $0.y1 - $0.y0] } ?? []
            isSame = isSame && box == vector.box
            let masks = try InstanceMasks([theirs], width: vector.w, height: vector.h)
            isSame = try isSame && masks.runLengthEncoding(of: 0) == theirs && masks.pixelCount(of: 0) == vector.area
            if let union = vector.union, let last {
                isSame = try isSame && theirs.union(last).compressed == union
            }
            if !isSame { tally.differingResults += 1 }
            last = theirs
        }
        return tally
    }

    @Test func committedShapesAreEqual() throws {
        let folder = try #require(Bundle.module.resourceURL).appendingPathComponent("Fixtures")
        let vectors = try COCOShapeVector.read(folder.appendingPathComponent("coco-shapes.jsonl"))
        #expect(try compare(vectors) == Tally(shapes: 400))
        #expect(vectors.count { $0.area > 0 } > 300, "most shapes must have pixels")
    }

    /// More shapes than are committed; Tests/System/coco-masks writes them and sets the variable.
    @Test(.enabled(if: ProcessInfo.processInfo.environment["KEDGE_COCO_SHAPES"] != nil))
    func manyShapesAreEqual() throws {
        let path = try #require(ProcessInfo.processInfo.environment["KEDGE_COCO_SHAPES"])
        let tally = try compare(COCOShapeVector.read(URL(fileURLWithPath: path)))
        print("coco-masks: \(tally)")
        #expect(tally == Tally(shapes: tally.shapes))
    }
}
