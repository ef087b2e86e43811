import Foundation
public import Imaging
public import Tensors

/// The mask of one object with values from 0 to 255, as grey mask files have them and as resizing leaves them.
public struct GreyMask: Sendable, Equatable {
    /// Values above this are foreground.
    public static let threshold: Float = 128

    /// Pixels per row.
    public let width: Int
    /// Rows.
    public let height: Int
    /// The values, row by row. // [H, W]
    public let values: [Float]

    /// Creates a mask from its values. // [H, W]
    public init(width: Int, height: Int, values: [Float]) {
        precondition(values.count == width * height, "\(values.count) values for \(width)x\(height)")
        (self.width, self.height, self.values) = (width, height, values)
    }

    /// The first channel of a mask picture.
    public init(_ picture: Image) {
        self.init(
            width: picture.width, height: picture.height,
            values: (0..<picture.width * picture.height).map { Float(picture.pixels[$0 * picture.channels]) })
    }

    /// One of the masks of an image: 255 inside, 0 outside.
    public init(_ masks: InstanceMasks, instance: Int) {
        self.init(
            width: masks.width, height: masks.height, values: masks.bitmap(of: instance).map { $0 == 0 ? 0 : 255 })
    }

    /// Whether each pixel is foreground. // [H, W]
    public var foreground: [Bool] { values.map { $0 > Self.threshold } }

    /// Whether any pixel is foreground.
    public var hasForeground: Bool { values.contains { $0 > Self.threshold } }

    /// The box prompt: the smallest and largest column and row with foreground; nil without foreground.
    ///
    /// These are indices of pixels, without the 1 that `Box` otherwise adds at the right and the bottom.
    public var tightBox: Box? {
        var (left, top, right, bottom) = (width, height, -1, -1)
        for row in 0..<height {
            for column in 0..<width where values[row * width + column] > Self.threshold {
                (left, right) = (min(left, column), max(right, column))
                (top, bottom) = (min(top, row), row)
            }
        }
        guard right >= 0 else { return nil }
        return Box(x0: Double(left), y0: Double(top), x1: Double(right), y1: Double(bottom))
    }

    /// The mask at another size: bilinear, aspect ratio not kept, without antialiasing; values stay real.
    public func resized(width newWidth: Int, height newHeight: Int) -> GreyMask {
        BilinearSampling(from: (width, height), to: (newWidth, newHeight))
            .mask(self, width: newWidth, height: newHeight)
    }

    // MARK: Prompts

    /// The point prompts: different pixels of the foreground, drawn uniformly; nil if it has fewer.
    public func points(_ count: Int, using generator: inout SeededGenerator) -> [LabelledPoint]? {
        var pixels = values.indices.filter { values[$0] > Self.threshold }
        guard pixels.count >= count else { return nil }
        return (0..<count).map { place in
            pixels.swapAt(place, place + generator.index(below: pixels.count - place))
            let (row, column) = pixels[place].quotientAndRemainder(dividingBy: width)
            return LabelledPoint(x: Double(column), y: Double(row), isForeground: true)
        }
    }

    /// How much smaller the mask is made to find where its boundary is.
    private static let boundaryFactor = 8

    /// The mask prompt: this mask with noise near its boundary, thresholded again, of values 0 and 255.
    ///
    /// With m the mask over 255 and m' the same reduced eightfold and enlarged again, the boundary is where
    /// |m - m'| >= 0.01; there the noise is added before the comparison with 1/2. The mask must have the size of the
    /// model's mask prompts already.
    ///
    /// - Parameter noise: Standard normal numbers. // [H, W]
    /// - Returns: // [H, W]
    public func noisyPrompt(_ noise: [Float]) -> GreyMask {
        precondition(noise.count == values.count, "\(noise.count) numbers for \(values.count) pixels")
        let scaled = GreyMask(width: width, height: height, values: values.map { $0 / 255 })
        let coarse = scaled.resized(
            width: max(width / Self.boundaryFactor, 1), height: max(height / Self.boundaryFactor, 1)
        ).resized(width: width, height: height)
        let noisy = values.indices.map { place -> Float in
            let own = scaled.values[place]
            let isBoundary = abs(own - coarse.values[place]) >= 0.01
            return own + (isBoundary ? noise[place] : 0) > 0.5 ? 255 : 0
        }
        return GreyMask(width: width, height: height, values: noisy)
    }

    /// The same with noise from a generator.
    public func noisyPrompt(using generator: inout SeededGenerator) -> GreyMask {
        noisyPrompt(values.map { _ in Float(generator.normal(log: { log($0) }, cos: { cos($0) })) })
    }
}
