public import Tensors

// A 2x2 convolution with stride 2, in either direction, is a product per position: a transposed one turns the C channels of
// a position into 2 x 2 pixels of C' channels. The pixels stay as rows [position, (a, b)], because later layers
// work on single pixels. After two such steps the pixels of a position are ordered (a, b, a', b'), pixel (2 a + a',
// 2 b + b') of its 4 x 4 block. Only the one-channel masks are converted to raster order and back.

/// The order of mask pixels: position by position (4 x 4 pixels each, nested 2 x 2 twice), or in raster order.
public enum SubpixelKernel {
    /// Mask pixels from position order to raster order. // [16 h w, m] -> [m, 4 h, 4 w]
    public static func raster(_ x: Tensor, height: Int, width: Int) -> Tensor {
        let masks = x.count / (16 * height * width)
        precondition(x.count == 16 * height * width * masks)
        var y = Tensor(uninitialized: [masks, 4 * height, 4 * width])
        let (source, destination) = (x.pointer, y.mutablePointer)
        let area = 16 * height * width
        forEachPixel(height, width) { index, pixel in
            for mask in 0..<masks { destination[mask * area + pixel] = source[index * masks + mask] }
        }
        return y
    }

    /// Mask pixels from raster order to position order, mask by mask. // [m, 4 h, 4 w] -> [m, 16 h w]
    public static func positionOrder(_ y: Tensor, height: Int, width: Int) -> Tensor {
        let area = 16 * height * width
        let masks = y.count / area
        precondition(y.count == area * masks)
        var x = Tensor(uninitialized: [masks, area])
        let (source, destination) = (y.pointer, x.mutablePointer)
        forEachPixel(height, width) { index, pixel in
            for mask in 0..<masks { destination[mask * area + index] = source[mask * area + pixel] }
        }
        return x
    }

    /// Rows of pixels from position order to an image in raster order. // [16 h w, C] -> [4 h, 4 w, C]
    public static func rasterRows(_ x: Tensor, height: Int, width: Int) -> Tensor {
        let channels = x.count / (16 * height * width)
        precondition(x.count == 16 * height * width * channels)
        var y = Tensor(uninitialized: [4 * height, 4 * width, channels])
        let (source, destination) = (x.pointer, y.mutablePointer)
        forEachPixel(height, width) { index, pixel in
            (destination + pixel * channels).update(from: source + index * channels, count: channels)
        }
        return y
    }

    /// An image's pixels from raster order to rows in position order. // [4 h, 4 w, C] -> [16 h w, C]
    public static func positionRows(_ y: Tensor, height: Int, width: Int) -> Tensor {
        let channels = y.count / (16 * height * width)
        precondition(y.count == 16 * height * width * channels)
        var x = Tensor(uninitialized: [16 * height * width, channels])
        let (source, destination) = (y.pointer, x.mutablePointer)
        forEachPixel(height, width) { index, pixel in
            (destination + index * channels).update(from: source + pixel * channels, count: channels)
        }
        return x
    }

    @inline(__always)
    private static func forEachPixel(_ height: Int, _ width: Int, _ body: (_ index: Int, _ pixel: Int) -> Void) {
        var index = 0
        for row in 0..<height {
            for column in 0..<width {
                for part in 0..<16 {
                    let (a, b, finerA, finerB) = (part / 8, part / 4 % 2, part / 2 % 2, part % 2)
                    let (y, x) = (4 * row + 2 * a + finerA, 4 * column + 2 * b + finerB)
                    body(index, y * 4 * width + x)
                    index += 1
                }
            }
        }
    }
}
