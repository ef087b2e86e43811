import Datasets
public import Imaging
public import Tensors

/// The fifteen common image corruptions, each with five severities, in their published order.
///
/// The definition is that of Hendrycks and Dietterich (ICLR 2019) for images of any size, in the package
/// `imagecorruptions` 1.1.2 (Michaelis et al., 2019), which the corrupted COCO of WeSAM was made with. Another corruption
/// is a case here with its family, its operation in that family's file, and its lines in `PublishedFigures`.
public enum Corruption: String, CaseIterable, Sendable {
    case gaussianNoise = "gaussian_noise"
    case shotNoise = "shot_noise"
    case impulseNoise = "impulse_noise"
    case defocusBlur = "defocus_blur"
    case glassBlur = "glass_blur"
    case motionBlur = "motion_blur"
    case zoomBlur = "zoom_blur"
    case snow
    case frost
    case fog
    case brightness
    case contrast
    case elasticTransform = "elastic_transform"
    case pixelate
    case jpegCompression = "jpeg_compression"

    /// The published severities.
    public static let severities = 1...5

    /// The shortest side an image may have, in pixels.
    public static let shortestSide = 32

    /// The order in which the corruption reads the channels of an image.
    public enum ChannelOrder: Sendable {
        /// Red, green, blue: the published definition.
        case published
        /// Blue, green, red, as the released WeSAM code passed images. It affects the grey of snow, the colour of
        /// frost and the chroma of JPEG; the result is converted back to red, green, blue.
        case released
    }

    /// The random numbers for one image: a function of the run's seed, the corruption, its severity and the image.
    ///
    /// - Parameters:
    ///   - seed: The seed of the run.
    ///   - severity: The severity, 1 to 5.
    ///   - image: A string that identifies the image, such as its path in the data set.
    public func generator(seed: UInt64, severity: Int, image: String) -> SeededGenerator {
        SeededGenerator(seed: seed, sample: severity, purpose: "corruption: \(rawValue): \(image)")
    }

    /// The corrupted image, of the same size and always RGB; a grey image is corrupted as RGB with equal channels.
    ///
    /// The corruption runs on one thread and takes random numbers only from `generator`.
    ///
    /// - Parameters:
    ///   - image: The image, at least 32 pixels per side.
    ///   - severity: 1 (mild) to 5.
    ///   - generator: The source of randomness.
    ///   - order: The order of channels; the released one only reproduces WeSAM's data.
    ///   - frost: The textures of `frost`.
    /// - Throws: `DatasetError` for a severity outside 1...5 or an image with a side below 32 pixels.
    public func apply(
        to image: Image, severity: Int, generator: inout SeededGenerator, order: ChannelOrder = .published,
        frost: FrostTextures = .synthetic
    ) throws -> Image {
        guard Self.severities.contains(severity) else {
            throw DatasetError(.invalidOption, at: "severity", "is \(severity)", remedy: "choose 1 to 5")
        }
        guard min(image.width, image.height) >= Self.shortestSide else {
            throw DatasetError(
                .invalidOption, at: rawValue,
                "the image is \(image.width)x\(image.height) pixels, and corruptions need at least 32 pixels per side",
                remedy: "remove the image or enlarge it")
        }
        let original = order == .released ? image.rgb().withRedAndBlueExchanged() : image.rgb()
        let level = severity - 1
        let corrupted =
            switch self {
            case .gaussianNoise: original.withGaussianNoise(level, &generator)
            case .shotNoise: original.withShotNoise(level, &generator)
            case .impulseNoise: original.withImpulseNoise(level, &generator)
            case .defocusBlur: original.withDefocusBlur(level)
            case .glassBlur: original.withGlassBlur(level, &generator)
            case .motionBlur: original.withMotionBlur(level, &generator)
            case .zoomBlur: original.withZoomBlur(level)
            case .snow: original.withSnow(level, &generator)
            case .frost:
                original.withFrost(
                    level, frost.randomCrop(width: image.width, height: image.height, &generator))
            case .fog: original.withFog(level, &generator)
            case .brightness: original.withBrightness(level)
            case .contrast: original.withContrast(level)
            case .elasticTransform: original.withElasticTransform(level, &generator)
            case .pixelate: original.pixelated(level)
            case .jpegCompression: try original.withJPEGCompression(level)
            }
        return order == .released ? corrupted.withRedAndBlueExchanged() : corrupted
    }
}

extension Image {
    /// The image with its first and third channel swapped.
    fileprivate func withRedAndBlueExchanged() -> Image {
        var result = self
        for first in stride(from: 0, to: pixels.count, by: 3) { result.pixels.swapAt(first, first + 2) }
        return result
    }
}
