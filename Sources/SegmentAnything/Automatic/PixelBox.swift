/// A rectangle of whole pixels: a crop of an image, whose right and bottom are exclusive, or the extents of a mask, whose
/// right and bottom are its last column and row.
public struct PixelBox: Sendable, Equatable {
    /// The left edge.
    public let x0: Int
    /// The top edge.
    public let y0: Int
    /// The right edge.
    public let x1: Int
    /// The bottom edge.
    public let y1: Int

    /// Creates a rectangle from its corners.
    public init(x0: Int, y0: Int, x1: Int, y1: Int) { (self.x0, self.y0, self.x1, self.y1) = (x0, y0, x1, y1) }

    /// x1 - x0.
    public var width: Int { x1 - x0 }
    /// y1 - y0.
    public var height: Int { y1 - y0 }

    /// The translated rectangle.
    func shifted(x: Int, y: Int) -> PixelBox { PixelBox(x0: x0 + x, y0: y0 + y, x1: x1 + x, y1: y1 + y) }

    /// Distance in pixels from an edge of a crop within which a mask counts as cut off by it.
    static let edgeTolerance = 20

    /// True if an edge lies within 20 pixels of the crop's edge on the same side, and that is not near the image's.
    package func isNearEdge(of crop: PixelBox, imageWidth: Int, imageHeight: Int) -> Bool {
        func isNear(_ edge: Int, _ crop: Int, _ image: Int) -> Bool {
            abs(edge - crop) <= Self.edgeTolerance && abs(edge - image) > Self.edgeTolerance
        }
        return isNear(x0, crop.x0, 0) || isNear(y0, crop.y0, 0) || isNear(x1, crop.x1, imageWidth)
            || isNear(y1, crop.y1, imageHeight)
    }
}

/// A part of an image that is segmented separately, at a finer scale than the whole.
public struct ImageCrop: Sendable, Equatable {
    /// Its rectangle in the image.
    public let box: PixelBox
    /// 0 for the whole image; layer L has 4^L crops.
    public let layer: Int

    /// The whole image and all crops, layer by layer, column by column.
    ///
    /// With m = 2^L crops per side and the overlap o = floor(ratio min(W, H) 2 / m), a crop is ceil((o (m - 1) + W) / m) wide.
    public static func all(
        width: Int, height: Int, layers: Int, overlapRatio: Double
    ) -> [ImageCrop] {
        var crops = [ImageCrop(box: PixelBox(x0: 0, y0: 0, x1: width, y1: height), layer: 0)]
        for layer in 0..<layers {
            let perSide = 2 << layer
            let overlap = Int(overlapRatio * Double(min(width, height)) * (2 / Double(perSide)))
            func length(_ side: Int) -> Int { (overlap * (perSide - 1) + side + perSide - 1) / perSide }
            let (cropWidth, cropHeight) = (length(width), length(height))
            for column in 0..<perSide {
                for row in 0..<perSide {
                    let (x, y) = ((cropWidth - overlap) * column, (cropHeight - overlap) * row)
                    let box = PixelBox(
                        x0: x, y0: y, x1: min(x + cropWidth, width), y1: min(y + cropHeight, height))
                    // In an image of few pixels the last crops are empty.
                    if box.width > 0, box.height > 0 { crops.append(ImageCrop(box: box, layer: layer + 1)) }
                }
            }
        }
        return crops
    }
}

/// The points that replace a user's.
public enum PointGrid {
    /// The centres of the cells of a grid over a rectangle with its corner at 0, 0; x varies fastest.
    public static func points(perSide count: Int, width: Int, height: Int) -> [(x: Double, y: Double)] {
        func centre(_ cell: Int, _ length: Int) -> Double {
            (Double(cell) + 0.5) / Double(count) * Double(length)
        }
        return (0..<count * count).map { (centre($0 % count, width), centre($0 / count, height)) }
    }
}
