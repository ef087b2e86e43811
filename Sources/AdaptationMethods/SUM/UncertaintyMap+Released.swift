public import Kernels
public import Tensors

// The loader released with SUM (`dataloader`, the HQ variant): the pseudo-mask's probability comes as bytes at the image's size
// and the refined one as bytes at the decoder's resolution on the padded square.
//   sigma(s) = half(byte / 255), nearest to the canvas, 0 in the padding;   sigma(r) = byte / 255, bilinear
// So the two are enlarged by different kernels, which makes edges of the map that are none.

extension UncertaintyMap {
    /// Maps as the released loader reads them, to compare with published numbers.
    ///
    /// - Parameters:
    ///   - probability: 255 sigma(s) at the image's size. // [n, H, W]
    ///   - size: Rows and columns of the image.
    ///   - refined: 255 sigma(r) on the whole square. // [n, h, h]
    ///   - side: Side of the canvas, pixels.
    ///   - height: Rows of the canvas that the image fills.
    ///   - width: Columns that it fills.
    public init(
        releasedProbability probability: [UInt8], size: (height: Int, width: Int), refined: Tensor, side: Int,
        height: Int, width: Int, in workspace: Workspace
    ) {
        let count = probability.count / (size.height * size.width)
        precondition(refined.shape[0] == count, "\(refined.shape) refined masks for \(count)")
        func nearest(_ places: Int, from source: Int) -> [Int] {
            let scale = Float(source) / Float(places)
            return (0..<places).map { min(Int(Float($0) * scale), source - 1) }
        }
        let (rows, columns) = (nearest(height, from: size.height), nearest(width, from: size.width))
        let values = (0..<count).flatMap { plane in
            rows.flatMap { row in
                columns.map { column in
                    let byte = probability[(plane * size.height + row) * size.width + column]
                    return Float(Float16(Float(byte) / 255))
                }
            }
        }
        var enlarged = Tensor(uninitialized: [count, side, side])
        BilinearResizeKernel.forward(
            Tensor(refined.elements.map { $0 / 255 }, refined.shape), into: &enlarged, in: workspace)
        self.init(
            probability: Tensor(values, [count, height, width]),
            refined: Self.cropped(enlarged, height: height, width: width))
    }
}
