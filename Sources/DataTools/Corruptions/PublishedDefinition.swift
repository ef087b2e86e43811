import Foundation
package import Imaging

/// The deviation of a corruption from the published one, on the images of the published figures.
public struct PublishedDeviation: Equatable, Sendable {
    /// The largest relative difference of the mean over the reference images, with its sign.
    public var mean: Double
    /// The largest relative difference of the variance over the reference images, with its sign.
    public var variance: Double
    /// The largest relative difference of a channel's mean, with its sign.
    public var channelMean: Double

    /// The relative difference that counts as agreement.
    public static let tolerance = 0.02

    /// True if mean and variance agree with the published package.
    public var isWithinTolerance: Bool { max(abs(mean), abs(variance)) <= Self.tolerance }
}

/// Figures of the published package, of one corruption, severity and reference image.
package struct PublishedFigures: Sendable {
    package let corruption: Corruption
    package let severity: Int
    package let image: Int
    package let statistics: ImageStatistics

    /// All figures, in the order of the table.
    package static let all: [PublishedFigures] = table.split(separator: "\n").compactMap { line in
        let words = line.split(separator: " ")
        let numbers = words.dropFirst().compactMap { Double($0) }
        guard numbers.count == 7, let corruption = Corruption(rawValue: String(words[0])) else { return nil }
        return PublishedFigures(
            corruption: corruption, severity: Int(numbers[0]), image: Int(numbers[1]),
            statistics: ImageStatistics(mean: numbers[2], variance: numbers[3], channelMeans: Array(numbers[4...])))
    }

    /// The images: synthetic cells, dark on light, and others with all values subtracted from 255, light on dark.
    package static let images: [Image] = {
        guard let cells = try? SyntheticCells(side: 256, seed: 23, severity: 0) else { return [] }
        var second = cells.sample(1).image
        for place in second.pixels.indices { second.pixels[place] = 255 - second.pixels[place] }
        return [cells.sample(0).image, second]
    }()
}

extension Corruption {
    /// Draws per reference image. The package's figures were measured with the same random numbers, draw by draw, and so
    /// without a spread.
    private var referenceDraws: Int {
        switch self {
        case .impulseNoise, .motionBlur, .snow, .fog: 4
        default: 1
        }
    }

    /// Parts of a frost texture overlaid on a reference image, down and across.
    private static let frostSteps = 6

    /// The average over a reference image's results.
    ///
    /// Frost has other textures: the package's figures are averages over 2,000 draws, and Kedge's over parts of
    /// all textures in even steps, which differ less from the average of all parts than as many random ones.
    private func referenceStatistics(
        of image: Image, severity: Int, frost: FrostTextures
    ) throws -> ImageStatistics {
        if self == .frost {
            let crops = frost.evenCrops(width: image.width, height: image.height, steps: Self.frostSteps)
            return ImageStatistics(averageOf: crops.map { ImageStatistics(image.withFrost(severity - 1, $0)) })
        }
        return ImageStatistics(
            averageOf: try (0..<referenceDraws).map { draw in
                var generator = generator(seed: UInt64(draw), severity: severity, image: "reference")
                return ImageStatistics(try apply(to: image, severity: severity, generator: &generator))
            })
    }

    /// Corrupts the reference images and compares mean and variance with the figures of the published package.
    ///
    /// Throws the errors of `apply`.
    public func deviationFromPublished(
        severity: Int, frost: FrostTextures = .synthetic
    ) throws -> PublishedDeviation {
        var result = PublishedDeviation(mean: 0, variance: 0, channelMean: 0)
        func widen(_ deviation: inout Double, _ actual: Double, _ published: Double) {
            let relative = actual / published - 1
            if abs(relative) > abs(deviation) { deviation = relative }
        }
        for figures in PublishedFigures.all where figures.corruption == self && figures.severity == severity {
            let measured = try referenceStatistics(
                of: PublishedFigures.images[figures.image], severity: severity, frost: frost)
            widen(&result.mean, measured.mean, figures.statistics.mean)
            widen(&result.variance, measured.variance, figures.statistics.variance)
            for (channel, mean) in measured.channelMeans.enumerated() {
                widen(&result.channelMean, mean, figures.statistics.channelMeans[channel])
            }
        }
        return result
    }
}
