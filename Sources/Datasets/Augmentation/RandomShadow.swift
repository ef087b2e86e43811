public import Imaging
import Tensors

/// Shadows: polygons in the lower half of the image inside which the lightness is halved.
public enum RandomShadow {
    /// A polygon vertex: the indices of a pixel; it may be one pixel outside the image.
    public struct Vertex: Equatable, Sendable {
        /// Column, 0...W.
        public var x: Int
        /// Row, 0...H.
        public var y: Int

        /// Creates a vertex.
        public init(x: Int, y: Int) {
            self.x = x
            self.y = y
        }
    }

    /// Draws one or two polygons of five vertices, x uniform in 0...W, y uniform in H div 2...H.
    static func drawPolygons(width: Int, height: Int, using generator: inout SeededGenerator) -> [[Vertex]] {
        (0..<1 + generator.index(below: 2)).map { _ in
            (0..<5).map { _ in
                let x = generator.index(below: width + 1)
                return Vertex(x: x, y: height / 2 + generator.index(below: height - height / 2 + 1))
            }
        }
    }

    /// Halves the lightness inside the union of the polygons.
    ///
    /// The whole image is converted to 8-bit HLS (hue 0-180, lightness and saturation 0-255) and back, as in OpenCV,
    /// so rounding may change pixels outside too; inside, lightness becomes trunc(lightness / 2).
    public static func apply(to image: Image, polygons: [[Vertex]]) -> Image {
        precondition(image.channels == 3, "shadows need an RGB image")
        var isShadowed = [Bool](repeating: false, count: image.width * image.height)
        for polygon in polygons {
            PolygonFill.fill(polygon, width: image.width, height: image.height) { isShadowed[$0] = true }
        }
        var result = image
        for pixel in isShadowed.indices {
            let base = pixel * 3
            var hls = HLSPixel(red: image.pixels[base], green: image.pixels[base + 1], blue: image.pixels[base + 2])
            if isShadowed[pixel] { hls.lightness /= 2 }
            (result.pixels[base], result.pixels[base + 1], result.pixels[base + 2]) = hls.rgb
        }
        return result
    }
}
