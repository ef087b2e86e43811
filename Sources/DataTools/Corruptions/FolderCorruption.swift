import Datasets
import Foundation
public import Imaging

/// Corrupts every image of a folder and writes the results to separate folders.
///
/// INPUT/a/b.jpg becomes OUTPUT/NAME-SEVERITY/a/b.png. An image's random numbers are a function of the seed, the
/// corruption, the severity and the path below the input folder, independent of threads and other images.
public struct FolderCorruption: Sendable {
    /// The measurements of one corruption and severity over all images.
    public struct Summary: Equatable, Sendable {
        /// The corruption.
        public let corruption: Corruption
        /// Its severity.
        public let severity: Int
        /// The number of images.
        public let images: Int
        /// The average over images of mean and variance.
        public let statistics: ImageStatistics
        /// Peak signal-to-noise ratio against the originals, of the squared error over all images, in decibels.
        public let peakSignalToNoise: Double
    }

    /// One file and one corruption: the work unit of a thread.
    private struct Request: Sendable {
        let file: String
        let corruption: Corruption
    }

    private typealias Measured = (statistics: ImageStatistics, squaredError: Double)

    private let input: String
    private let output: String
    private let corruptions: [Corruption]
    private let severities: [Int]
    private let seed: UInt64
    private let order: Corruption.ChannelOrder
    private let frost: FrostTextures
    private let files: [String]
    private let intensity: Intensity

    /// Lists the input.
    ///
    /// - Parameters:
    ///   - input: A folder of PNG and JPEG files, optionally in subfolders.
    ///   - output: The folder for the results, outside the input.
    ///   - corruptions: The corruptions, each once.
    ///   - severities: The severities, each 1 to 5.
    ///   - seed: The seed.
    ///   - order: The order of channels. With that of the released WeSAM code, files are JPEG of quality 95, as there.
    ///   - frost: The textures of `frost`.
    ///   - intensity: How images of any depth become the 8 bits of the results.
    /// - Throws: `DatasetError` for invalid folders, names or severities.
    public init(
        input: String, output: String, corruptions: [Corruption], severities: [Int], seed: UInt64,
        order: Corruption.ChannelOrder = .published, frost: FrostTextures = .synthetic,
        intensity: Intensity.Rule = .auto
    ) throws {
        for severity in severities where !Corruption.severities.contains(severity) {
            throw DatasetError(.invalidOption, at: "severity", "is \(severity)", remedy: "choose 1 to 5")
        }
        (self.input, self.output) = (input, output)
        self.corruptions = Corruption.allCases.filter { corruptions.contains($0) }
        self.severities = Array(Set(severities)).sorted()
        (self.seed, self.order, self.frost, self.intensity) = (seed, order, frost, Intensity(intensity))
        files = try Self.checkedFiles(input: input, output: output)
    }

    /// The images below the input folder.
    public var imageCount: Int { files.count }

    private static func checkedFiles(input: String, output: String) throws -> [String] {
        try InputProtection.check(outputFolder: output, outside: input)
        let files = try ImageListing.imageFiles(in: input)
        guard !files.isEmpty else {
            throw DatasetError(
                .emptyDataset, at: input, "contains no PNG or JPEG file", remedy: "pass the folder with the images")
        }
        for labels in ["labels", "masks"] where files.contains(where: { $0.hasPrefix(labels + "/") }) {
            throw DatasetError(
                .invalidOption, at: input, "contains \(labels)/, which must not be corrupted",
                remedy: "pass the folder with only the images, such as \(input)/images")
        }
        var known: [String: String] = [:]
        for file in files {
            if let other = known.updateValue(file, forKey: (file as NSString).deletingPathExtension) {
                throw DatasetError(
                    .ambiguousName, at: input + "/" + file, "would have the same result file as \(other)",
                    remedy: "rename one of the two")
            }
        }
        return files
    }

    /// Corrupts all images and returns one summary per corruption and severity, in published order.
    ///
    /// Files appear completely or not at all. Throws `DatasetError` at the first image that cannot be read, is too
    /// small, or cannot be written; results of earlier images are kept.
    public func run(threads: Int) throws -> [Summary] {
        let requests = corruptions.flatMap { corruption in files.map { Request(file: $0, corruption: corruption) } }
        try makeFolders()
        let results = try SamplePrefetcher(
            requests.makeIterator(), depth: 2 * threads, threads: threads, prepare: { try corrupt($0) })
        defer {
            results.cancel()
            results.waitUntilStopped()
        }
        var summaries: [Summary] = []
        for corruption in corruptions {
            var measured: [[Measured]] = []  // [image][severity]
            for _ in files {
                guard let next = try results.next() else { break }
                measured.append(next)
            }
            for (place, severity) in severities.enumerated() {
                let column = measured.map { $0[place] }
                let error = column.reduce(0) { $0 + $1.squaredError } / Double(column.count)
                summaries.append(
                    Summary(
                        corruption: corruption, severity: severity, images: column.count,
                        statistics: ImageStatistics(averageOf: column.map(\.statistics)),
                        peakSignalToNoise: ImageStatistics.peakSignalToNoise(squaredError: error)))
            }
        }
        return summaries
    }

    /// Throws `DatasetError` if a result would replace an image of the input, or a file of the folder of frost pictures.
    public func checkOutputs(sparing frost: String? = nil) throws {
        var outputs: [String] = []
        for corruption in corruptions {
            for severity in severities {
                outputs += files.map { resultPath($0, corruption, severity) }
            }
        }
        try InputProtection.check(outputs: outputs, files: [], folders: [input] + (frost.map { [$0] } ?? []))
    }

    private func resultPath(_ file: String, _ corruption: Corruption, _ severity: Int) -> String {
        folder(corruption, severity) + "/" + (file as NSString).deletingPathExtension
            + (order == .published ? ".png" : ".jpg")
    }

    private func folder(_ corruption: Corruption, _ severity: Int) -> String {
        "\(output)/\(corruption.rawValue)-\(severity)"
    }

    private func makeFolders() throws {
        let inner = Set(files.map { ($0 as NSString).deletingLastPathComponent }).sorted()
        for corruption in corruptions {
            for severity in severities {
                for name in inner {
                    let path = folder(corruption, severity) + "/" + name
                    do {
                        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
                    } catch {
                        throw DatasetError(
                            .writeFailed, at: path, "cannot be created: \((error as NSError).localizedDescription)",
                            remedy: "check the path and its permissions")
                    }
                }
            }
        }
    }

    /// Corrupts one file at all severities, and measures the results before they are encoded.
    private func corrupt(_ request: Request) throws -> [Measured] {
        let path = input + "/" + request.file
        let image: Image
        do {
            image = try ImageFile.decode(path: path, intensity: intensity).rgb()
        } catch let error as ImagingError {
            throw DatasetError(.unreadableFile, at: path, error.cause, remedy: error.remedy)
        }
        return try severities.map { severity in
            var generator = request.corruption.generator(seed: seed, severity: severity, image: request.file)
            let corrupted: Image
            do {
                corrupted = try request.corruption.apply(
                    to: image, severity: severity, generator: &generator, order: order, frost: frost)
            } catch let error as DatasetError {
                throw DatasetError(error.code, at: path, error.problem, remedy: error.remedy)
            }
            let result = resultPath(request.file, request.corruption, severity)
            do {
                switch order {
                case .published: try corrupted.writePNG(to: result)
                case .released: try corrupted.writeJPEG(to: result, quality: 95)
                }
            } catch let error as ImagingError {
                throw DatasetError(.writeFailed, at: error.file, error.cause, remedy: error.remedy)
            }
            return (ImageStatistics(corrupted), ImageStatistics.squaredError(image, corrupted))
        }
    }
}
