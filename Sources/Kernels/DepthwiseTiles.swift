import Tensors

/// The width of the depthwise loops: one AVX2 register, and the step of SAM's narrowest channel counts.
private typealias Lanes = SIMD8<Float>

@inline(__always) private func load(_ pointer: UnsafePointer<Float>) -> Lanes {
    UnsafeRawPointer(pointer).loadUnaligned(as: Lanes.self)
}

@inline(__always) private func store(_ value: Lanes, _ pointer: UnsafeMutablePointer<Float>) {
    UnsafeMutableRawPointer(pointer).storeBytes(of: value, as: Lanes.self)
}

/// The nine taps of a depthwise convolution, in forward or reverse order (the adjoint), and its bias.
struct DepthwiseTaps {
    /// Tap 0.
    let first: UnsafePointer<Float>
    /// Distance from one tap to the next.
    let pitch: Int
    let bias: UnsafePointer<Float>?

    init(weight: UnsafePointer<Float>, channels: Int, reversed: Bool, bias: UnsafePointer<Float>?) {
        first = reversed ? weight + 8 * channels : weight
        pitch = reversed ? -channels : channels
        self.bias = bias
    }
}

/// The extents of one depthwise convolution, its cut into tiles, and the loop over a row of a tile.
struct DepthwiseTiles {
    let height, width, channels: Int
    let outputHeight, outputWidth: Int
    let stride: Int
    private let rows, columns: Int

    init(_ x: Shape, _ y: Shape, stride: Int, weight: Tensor, bias: Tensor?) {
        precondition(x.rank == 3 && (stride == 1 || stride == 2), "depthwise convolution of \(x), stride \(stride)")
        (height, width, channels) = (x[0], x[1], x[2])
        outputHeight = DepthwiseConvolution3x3Kernel.outputExtent(height, stride: stride)
        outputWidth = DepthwiseConvolution3x3Kernel.outputExtent(width, stride: stride)
        self.stride = stride
        let columnBytes = (3 * stride + 1) * channels * MemoryLayout<Float>.stride
        let fitting = DepthwiseConvolution3x3Kernel.tileBytes / max(columnBytes, 1) / 4 * 4
        columns = max(4, min(fitting, outputWidth))
        let shares = DepthwiseConvolution3x3Kernel.minimumBands
        rows = max(1, min(DepthwiseConvolution3x3Kernel.tileRows, (outputHeight + shares - 1) / shares))
        precondition(
            y.dimensions == [outputHeight, outputWidth, channels],
            "depthwise convolution of \(x) with stride \(stride) does not give \(y)")
        let count = channels
        precondition(weight.count == 9 * count && bias.map { $0.count == count } ?? true)
    }

    private var tilesAcross: Int { (outputWidth + columns - 1) / columns }

    /// The number of tiles.
    var count: Int { tilesAcross * ((outputHeight + rows - 1) / rows) }

    /// Calls `body` for every output row of a tile, top to bottom, with the tile's columns.
    @inline(__always)
    func forEachSegment(of tile: Int, _ body: (_ row: Int, _ columns: Range<Int>) -> Void) {
        let (band, across) = tile.quotientAndRemainder(dividingBy: tilesAcross)
        let range = across * columns..<min((across + 1) * columns, outputWidth)
        for row in band * rows..<min((band + 1) * rows, outputHeight) { body(row, range) }
    }

    /// Convolves some columns of one output row; returns their start in `y`.
    func run(
        _ x: UnsafePointer<Float>, _ taps: DepthwiseTaps, row: Int, columns: Range<Int>,
        into y: UnsafeMutablePointer<Float>
    ) -> Int {
        let start = (row * outputWidth + columns.lowerBound) * channels
        let top = row * stride - 1
        var column = columns.lowerBound
        var output = y + start
        let isInside = top >= 0 && top + 3 <= height
        while column < columns.upperBound {
            let left = column * stride - 1
            // Four pixels need columns left ..< left + 3 stride + 3.
            if isInside && left >= 0 && column + 4 <= columns.upperBound && left + 3 * stride + 3 <= width {
                let corner = x + (top * width + left) * channels
                let done = stride == 1 ? fourPixels(corner, taps, 1, output) : fourPixels(corner, taps, 2, output)
                if done < channels {
                    for pixel in 0..<4 {
                        edge(x, taps, top, left + pixel * stride, from: done, output + pixel * channels)
                    }
                }
                column += 4
                output += 4 * channels
            } else {
                edge(x, taps, top, left, from: 0, output)
                column += 1
                output += channels
            }
        }
        return start
    }

    /// Four neighbouring output pixels from the input pixel at their upper left, for as many channels as fill whole
    /// vectors; returns that number of channels.
    @inline(__always)
    private func fourPixels(
        _ corner: UnsafePointer<Float>, _ taps: DepthwiseTaps, _ stride: Int, _ y: UnsafeMutablePointer<Float>
    ) -> Int {
        let (pitch, rowPitch, tapPitch) = (channels, width * channels, taps.pitch)
        var c = 0
        while c + Lanes.scalarCount <= channels {
            var y0 = Lanes(repeating: 0)
            if let bias = taps.bias { y0 = load(bias + c) }
            var (y1, y2, y3) = (y0, y0, y0)
            for ky in 0..<3 {
                let line = corner + ky * rowPitch + c
                let tap = taps.first + 3 * ky * tapPitch + c
                let (w0, w1, w2) = (load(tap), load(tap + tapPitch), load(tap + 2 * tapPitch))
                // The compiler keeps the columns that neighbouring pixels share in registers.
                y0 = y0.addingProduct(load(line), w0).addingProduct(load(line + pitch), w1)
                    .addingProduct(load(line + 2 * pitch), w2)
                y1 = y1.addingProduct(load(line + stride * pitch), w0)
                    .addingProduct(load(line + (stride + 1) * pitch), w1)
                    .addingProduct(load(line + (stride + 2) * pitch), w2)
                y2 = y2.addingProduct(load(line + 2 * stride * pitch), w0)
                    .addingProduct(load(line + (2 * stride + 1) * pitch), w1)
                    .addingProduct(load(line + (2 * stride + 2) * pitch), w2)
                y3 = y3.addingProduct(load(line + 3 * stride * pitch), w0)
                    .addingProduct(load(line + (3 * stride + 1) * pitch), w1)
                    .addingProduct(load(line + (3 * stride + 2) * pitch), w2)
            }
            store(y0, y + c)
            store(y1, y + pitch + c)
            store(y2, y + 2 * pitch + c)
            store(y3, y + 3 * pitch + c)
            c += Lanes.scalarCount
        }
        return c
    }

    /// One output pixel without the taps outside the image, channels from `first` on.
    private func edge(
        _ x: UnsafePointer<Float>, _ taps: DepthwiseTaps, _ top: Int, _ left: Int, from first: Int,
        _ y: UnsafeMutablePointer<Float>
    ) {
        let kyRange = max(0, -top)..<min(3, height - top)
        let kxRange = max(0, -left)..<min(3, width - left)
        var c = first
        while c + Lanes.scalarCount <= channels {
            var sum = Lanes(repeating: 0)
            if let bias = taps.bias { sum = load(bias + c) }
            for ky in kyRange {
                for kx in kxRange {
                    sum = sum.addingProduct(
                        load(x + ((top + ky) * width + left + kx) * channels + c),
                        load(taps.first + (3 * ky + kx) * taps.pitch + c))
                }
            }
            store(sum, y + c)
            c += Lanes.scalarCount
        }
        while c < channels {
            var sum = taps.bias.map { $0[c] } ?? 0
            for ky in kyRange {
                for kx in kxRange {
                    sum.addProduct(
                        x[((top + ky) * width + left + kx) * channels + c],
                        taps.first[(3 * ky + kx) * taps.pitch + c])
                }
            }
            y[c] = sum
            c += 1
        }
    }
}

/// The input gradient of a depthwise convolution with stride 2, row by row.
struct DepthwiseStridedAdjoint {
    let width, channels: Int
    let outputHeight, outputWidth: Int
    let gradient: UnsafePointer<Float>
    let weight: UnsafePointer<Float>
    let output: UnsafeMutablePointer<Float>

    /// One row of dX.
    func row(_ row: Int) {
        let line = output + row * width * channels
        let pitch = outputWidth * channels
        if row % 2 == 0 {
            pixels(line, gradient + row / 2 * pitch, ky: 1, nil, ky: 0)
        } else {
            let below = (row + 1) / 2 < outputHeight ? gradient + (row + 1) / 2 * pitch : nil
            pixels(line, gradient + (row - 1) / 2 * pitch, ky: 2, below, ky: 0)
        }
    }

    /// Pairs of pixels of dX from one or two rows of dY.
    private func pixels(
        _ line: UnsafeMutablePointer<Float>, _ first: UnsafePointer<Float>, ky firstTap: Int,
        _ second: UnsafePointer<Float>?, ky secondTap: Int
    ) {
        let firstTaps = weight + 3 * firstTap * channels
        let secondTaps = weight + 3 * secondTap * channels
        for pair in 0..<(width + 1) / 2 {
            let target = line + 2 * pair * channels
            let offset = pair * channels
            let done =
                2 * pair + 1 < width && pair + 1 < outputWidth
                ? pairOfPixels(target, first + offset, firstTaps, second.map { $0 + offset }, secondTaps) : 0
            if done == channels { continue }
            for column in 2 * pair..<min(2 * pair + 2, width) {
                for c in done..<channels {
                    var sum = onePixel(first, firstTaps, column: column, channel: c)
                    if let second { sum += onePixel(second, secondTaps, column: column, channel: c) }
                    line[column * channels + c] = sum
                }
            }
        }
    }

    /// dX[2j] = w[1] dY[j] and dX[2j+1] = w[2] dY[j] + w[0] dY[j+1], summed over the rows, for whole vectors of
    /// channels; returns the number of those channels.
    @inline(__always)
    private func pairOfPixels(
        _ target: UnsafeMutablePointer<Float>, _ first: UnsafePointer<Float>, _ firstTaps: UnsafePointer<Float>,
        _ second: UnsafePointer<Float>?, _ secondTaps: UnsafePointer<Float>
    ) -> Int {
        var c = 0
        while c + Lanes.scalarCount <= channels {
            let here = load(first + c)
            var even = here * load(firstTaps + channels + c)
            var odd = (here * load(firstTaps + 2 * channels + c))
                .addingProduct(load(first + channels + c), load(firstTaps + c))
            if let second {
                let below = load(second + c)
                even = even.addingProduct(below, load(secondTaps + channels + c))
                odd = odd.addingProduct(below, load(secondTaps + 2 * channels + c))
                    .addingProduct(load(second + channels + c), load(secondTaps + c))
            }
            store(even, target + c)
            store(odd, target + channels + c)
            c += Lanes.scalarCount
        }
        return c
    }

    /// The contribution of one row of dY to one number of dX.
    private func onePixel(
        _ source: UnsafePointer<Float>, _ taps: UnsafePointer<Float>, column: Int, channel: Int
    ) -> Float {
        let here = source[column / 2 * channels + channel]
        if column % 2 == 0 { return here * taps[channels + channel] }
        let sum = here * taps[2 * channels + channel]
        let next = column / 2 + 1
        return next < outputWidth ? sum + source[next * channels + channel] * taps[channel] : sum
    }
}
