public import Imaging
import Tensors

/// The strong augmentation of WeSAM: photometric operations on the 8-bit image, in this order, with probability 1/2 each.
///
/// Posterize (4 bits), equalize, sharpen, solarize (128), brightness and contrast, shadow; parameter ranges are the
/// defaults of albumentations 1.3.1. No pixel moves, so masks and prompts of the weak view fit the strong one.
public enum StrongAugmentation {
    /// One operation with its parameters.
    public enum Operation: Equatable, Sendable {
        /// Keep the upper bits of every sample.
        case posterize(bits: Int)
        /// Spread the histogram of every channel.
        case equalize
        /// Blend with a sharpened copy; alpha in [0.2, 0.5), lightness in [0.5, 1).
        case sharpen(alpha: Float, lightness: Float)
        /// Invert samples from the threshold up.
        case solarize(threshold: Int)
        /// Scale by `contrast` in [0.8, 1.2) and add 255 `brightness`, brightness in [-0.2, 0.2).
        case brightnessContrast(contrast: Float, brightness: Float)
        /// Halve the lightness inside one or two polygons.
        case shadow(polygons: [[RandomShadow.Vertex]])
    }

    /// Draws the operations for one sample in one epoch; each has its own random stream.
    public static func draw(seed: UInt64, epoch: Int, sample: Int, width: Int, height: Int) -> [Operation] {
        func generator(_ name: String) -> SeededGenerator {
            SeededGenerator(seed: seed, epoch: epoch, sample: sample, purpose: "strong augmentation: " + name)
        }
        var operations: [Operation] = []
        func consider(_ name: String, _ make: (inout SeededGenerator) -> Operation) {
            var stream = generator(name)
            if stream.chance(0.5) { operations.append(make(&stream)) }
        }
        consider("posterize") { _ in .posterize(bits: 4) }
        consider("equalize") { _ in .equalize }
        consider("sharpen") { stream in
            let alpha = Float(stream.uniform(0.2, 0.5))
            return .sharpen(alpha: alpha, lightness: Float(stream.uniform(0.5, 1)))
        }
        consider("solarize") { _ in .solarize(threshold: 128) }
        consider("brightness and contrast") { stream in
            let contrast = Float(1 + stream.uniform(-0.2, 0.2))
            return .brightnessContrast(contrast: contrast, brightness: Float(stream.uniform(-0.2, 0.2)))
        }
        consider("shadow") { stream in
            .shadow(polygons: RandomShadow.drawPolygons(width: width, height: height, using: &stream))
        }
        return operations
    }

    /// Applies operations to an image in the given order.
    public static func apply(_ operations: [Operation], to image: Image) -> Image {
        operations.reduce(image) { image, operation in
            switch operation {
            case .posterize(let bits): LookupOperations.posterize(image, bits: bits)
            case .equalize: LookupOperations.equalize(image)
            case .sharpen(let alpha, let lightness): Sharpen.apply(to: image, alpha: alpha, lightness: lightness)
            case .solarize(let threshold): LookupOperations.solarize(image, threshold: threshold)
            case .brightnessContrast(let contrast, let brightness):
                LookupOperations.brightnessContrast(image, contrast: contrast, brightness: brightness)
            case .shadow(let polygons): RandomShadow.apply(to: image, polygons: polygons)
            }
        }
    }
}
