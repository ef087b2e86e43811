public import Imaging
public import Tensors

/// The conversion of an image to a model's square input: resized by its longest side, scaled to floats, padded.
///
/// Resizing is Pillow's antialiased bilinear filter on 8-bit samples for every kind.
public struct Preprocessing: Equatable, Sendable {
    /// The convention of one model family.
    public enum Kind: String, CaseIterable, Sendable {
        /// SAM and MobileSAM: (v - mean) / standard deviation, then zeros at the bottom and right.
        case sam
        /// The released WeSAM code: v / 255, black bars on both sides.
        case wesam
        /// MedSAM and LiteMedSAM: (v - min) / (max - min) over the resized image, then zeros at the bottom and right.
        case medsam
    }

    /// The convention.
    public let kind: Kind
    /// Side S of the model's input: 1024 for SAM, 256 for LiteMedSAM.
    public let side: Int

    /// Creates a preprocessing for a model of the given input side.
    public init(kind: Kind, side: Int) {
        precondition(side > 0, "a model frame needs a positive side, not \(side)")
        self.kind = kind
        self.side = side
    }

    /// Mean of each channel over SAM's training images.
    static let mean: [Float] = [123.675, 116.28, 103.53]
    /// Standard deviation of each channel over SAM's training images.
    static let standardDeviation: [Float] = [58.395, 57.12, 57.375]

    /// The placement of an image of the given size in the model frame.
    public func frame(width: Int, height: Int) -> ModelFrame {
        ModelFrame(side: side, originalWidth: width, originalHeight: height, isCentred: kind == .wesam)
    }

    /// The model's input for an RGB image, channel last, `[S, S, 3]`.
    public func apply(to image: Image) -> Tensor {
        precondition(image.channels == 3, "preprocessing needs an RGB image")
        let frame = frame(width: image.width, height: image.height)
        let resized = Resize.bilinear(image, width: frame.resizedWidth, height: frame.resizedHeight)
        let tables = tables(for: resized)
        var result = Tensor(zeros: [side, side, 3])
        let target = result.mutablePointer
        resized.pixels.withUnsafeBufferPointer { source in
            for y in 0..<frame.resizedHeight {
                let sourceRow = y * frame.resizedWidth * 3
                let targetRow = ((frame.top + y) * side + frame.left) * 3
                for x in 0..<frame.resizedWidth {
                    for channel in 0..<3 {
                        target[targetRow + x * 3 + channel] = tables[channel][Int(source[sourceRow + x * 3 + channel])]
                    }
                }
            }
        }
        return result
    }

    /// The float of every 8-bit value, one table per channel.
    private func tables(for image: Image) -> [[Float]] {
        let values = (0..<256).map { Float($0) }
        switch kind {
        case .sam:
            return (0..<3).map { channel in
                values.map { ($0 - Self.mean[channel]) / Self.standardDeviation[channel] }
            }
        case .wesam:
            return [[Float]](repeating: values.map { $0 / 255 }, count: 3)
        case .medsam:
            let smallest = Float(image.pixels.min() ?? 0)
            let range = max(Float(image.pixels.max() ?? 0) - smallest, 1e-8)
            return [[Float]](repeating: values.map { ($0 - smallest) / range }, count: 3)
        }
    }
}
