import Datasets
import DataTools
import Foundation
import Imaging
import Tensors
import Testing

/// Comparison with the published package, run with the same random numbers; see Fixtures/corruptions/generate.py.
@Suite struct GoldenCorruptionTests {
    /// The random numbers of a draw, as used by generate.py.
    private func generator(_ corruption: Corruption, _ severity: Int) -> SeededGenerator {
        corruption.generator(seed: 0, severity: severity, image: "reference")
    }

    private func fixture(_ name: String) throws -> Image {
        let folder = try #require(Bundle.module.resourceURL)
        return try ImageFile.decode(path: folder.appendingPathComponent("Fixtures/corruptions/\(name).png").path)
    }

    @Test func namesAndOrderAreThePublishedOnes() {
        #expect(
            Corruption.allCases.map(\.rawValue) == [
                "gaussian_noise", "shot_noise", "impulse_noise", "defocus_blur", "glass_blur", "motion_blur",
                "zoom_blur", "snow", "frost", "fog", "brightness", "contrast", "elastic_transform", "pixelate",
                "jpeg_compression",
            ])
    }

    /// At most this fraction of all values may differ by a level, where a sum in another order crosses an integer, and
    /// none by more.
    @Test(arguments: Corruption.allCases.filter { $0 != .impulseNoise && $0 != .frost && $0 != .jpegCompression })
    func pixelsEqualThePackage(_ corruption: Corruption) throws {
        let input = try fixture("input")
        let strip = try fixture(corruption.rawValue)
        for severity in Corruption.severities {
            var numbers = generator(corruption, severity)
            let actual = try corruption.apply(to: input, severity: severity, generator: &numbers)
            let expected = strip.pixels[(severity - 1) * input.pixels.count..<severity * input.pixels.count]
            let differences = zip(actual.pixels, expected).map { abs(Int($0) - Int($1)) }
            let differing = differences.reduce(0) { $0 + ($1 == 0 ? 0 : 1) }
            let worst = differences.max() ?? 0
            #expect(
                worst <= 1 && Double(differing) <= 0.005 * Double(differences.count),
                "severity \(severity): \(differing) of \(differences.count) differ, by \(worst) at most")
        }
    }

    /// Another release of libjpeg may round differently, so JPEG is compared by its signal-to-noise ratio.
    @Test func jpegIsThatOfThePackage() throws {
        let input = try fixture("input")
        let strip = try fixture("jpeg_compression")
        for severity in Corruption.severities {
            var numbers = generator(.jpegCompression, severity)
            let actual = try Corruption.jpegCompression.apply(to: input, severity: severity, generator: &numbers)
            let expected = Image(
                width: input.width, height: input.height, channels: 3,
                pixels: Array(strip.pixels[(severity - 1) * input.pixels.count..<severity * input.pixels.count]))
            let ratio = ImageStatistics.peakSignalToNoise(
                squaredError: ImageStatistics.squaredError(actual, expected))
            #expect(ratio > 50, "severity \(severity): \(ratio) dB")
        }
    }

    @Test func referenceImagesAreThoseThatWereMeasured() {
        // FNV-1a over the values of the images, as they were when the figures were measured.
        let digest = PublishedFigures.images.reduce(0xcbf2_9ce4_8422_2325 as UInt64) { hash, image in
            image.pixels.reduce(hash) { ($0 ^ UInt64($1)) &* 0x0000_0100_0000_01b3 }
        }
        #expect(
            digest == 0x53b7_1250_5047_c0ea, "synthetic cells changed: run generate.py anew and set the digest")
        #expect(PublishedFigures.all.count == 15 * 5 * PublishedFigures.images.count)
    }

    @Test(arguments: Corruption.allCases)
    func meanAndVarianceAreThePublishedOnes(_ corruption: Corruption) throws {
        for severity in Corruption.severities {
            let deviation = try corruption.deviationFromPublished(severity: severity)
            #expect(deviation.isWithinTolerance, "severity \(severity): \(deviation)")
            #expect(abs(deviation.channelMean) <= PublishedDeviation.tolerance, "severity \(severity): \(deviation)")
            if corruption != .frost && corruption != .impulseNoise {
                #expect(max(abs(deviation.mean), abs(deviation.variance)) < 0.001, "severity \(severity): \(deviation)")
            }
        }
    }
}

@Suite struct CorruptionTests {
    private func image(width: Int, height: Int, channels: Int = 3) -> Image {
        var generator = SeededGenerator(seed: 4, purpose: "corruption test")
        return Image(
            width: width, height: height, channels: channels,
            pixels: (0..<width * height * channels).map { _ in UInt8(generator.index(below: 256)) })
    }

    private func corrupted(
        _ corruption: Corruption, _ image: Image, seed: UInt64 = 1, order: Corruption.ChannelOrder = .published
    ) throws -> Image {
        var generator = corruption.generator(seed: seed, severity: 5, image: "a.png")
        return try corruption.apply(to: image, severity: 5, generator: &generator, order: order)
    }

    @Test(arguments: Corruption.allCases)
    func oddSizesKeepTheirSizeAndSeedsDecide(_ corruption: Corruption) throws {
        for (width, height) in [(32, 32), (33, 70), (131, 32)] {
            let original = image(width: width, height: height)
            let first = try corrupted(corruption, original)
            #expect(first.width == width && first.height == height && first.channels == 3)
            #expect(first != original)
            #expect(try corrupted(corruption, original) == first)
            let isRandom: Set<Corruption> = [
                .gaussianNoise, .shotNoise, .impulseNoise, .glassBlur, .motionBlur, .snow, .frost, .fog,
                .elasticTransform,
            ]
            #expect(try (corrupted(corruption, original, seed: 2) != first) == isRandom.contains(corruption))
        }
    }

    @Test func greyImagesBecomeThreeEqualChannels() throws {
        let grey = image(width: 40, height: 36, channels: 1)
        for corruption in [Corruption.fog, .contrast, .zoomBlur] {
            let result = try corrupted(corruption, grey)
            for place in stride(from: 0, to: result.pixels.count, by: 3) {
                #expect(result.pixels[place] == result.pixels[place + 1])
            }
        }
    }

    @Test func theReleasedOrderMovesColoursOnlyWhereChannelsAreMixed() throws {
        let original = image(width: 48, height: 40)
        for corruption in [Corruption.defocusBlur, .motionBlur, .fog, .contrast, .pixelate] {
            #expect(
                try corrupted(corruption, original, order: .released) == corrupted(corruption, original),
                "\(corruption)")
        }
        for corruption in [Corruption.snow, .frost, .jpegCompression] {
            #expect(
                try corrupted(corruption, original, order: .released) != corrupted(corruption, original),
                "\(corruption)")
        }
    }

    @Test func smallImagesAndUnknownSeveritiesAreErrors() throws {
        var generator = SeededGenerator(seed: 1, purpose: "corruption test")
        let error = #expect(throws: DatasetError.self) {
            try Corruption.fog.apply(to: image(width: 31, height: 64), severity: 1, generator: &generator)
        }
        #expect(error?.description.contains("31x64") == true)
        #expect(throws: DatasetError.self) {
            try Corruption.fog.apply(to: image(width: 64, height: 64), severity: 6, generator: &generator)
        }
    }

    @Test func aFolderIsCorruptedTheSameWithAnyThreads() throws {
        let root = FileManager.default.temporaryDirectory.appendingPathComponent("kedge-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: root) }
        try FileManager.default.createDirectory(atPath: root + "/in/b", withIntermediateDirectories: true)
        for (file, size) in [("a.png", 40), ("b/a.png", 44), ("b/c.png", 36)] {
            try image(width: size, height: 34).writePNG(to: root + "/in/" + file)
        }
        func run(_ name: String, threads: Int) throws -> [FolderCorruption.Summary] {
            try FolderCorruption(
                input: root + "/in", output: root + "/" + name, corruptions: [.fog, .gaussianNoise],
                severities: [5, 2], seed: 3
            ).run(threads: threads)
        }
        let summaries = try run("one", threads: 1)
        #expect(try run("three", threads: 3) == summaries)
        #expect(summaries.map(\.corruption) == [.gaussianNoise, .gaussianNoise, .fog, .fog])
        #expect(summaries.map(\.severity) == [2, 5, 2, 5] && summaries.allSatisfy { $0.images == 3 })
        #expect(summaries[0].peakSignalToNoise > summaries[1].peakSignalToNoise)
        for folder in ["gaussian_noise-2", "gaussian_noise-5", "fog-2", "fog-5"] {
            for file in ["a.png", "b/a.png", "b/c.png"] {
                let first = try ImageFile.decode(path: "\(root)/one/\(folder)/\(file)")
                #expect(try ImageFile.decode(path: "\(root)/three/\(folder)/\(file)") == first)
            }
        }
        // Other files in the folder do not change a file's result.
        let whole = try ImageFile.decode(path: root + "/one/fog-5/b/c.png")
        try FileManager.default.removeItem(atPath: root + "/in/a.png")
        _ = try run("fewer", threads: 2)
        #expect(try ImageFile.decode(path: root + "/fewer/fog-5/b/c.png") == whole)
    }

    @Test func frostTexturesAreReadAsTheyAreWritten() throws {
        let root = FileManager.default.temporaryDirectory.appendingPathComponent("kedge-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: root) }
        try FrostTextures.synthetic.write(to: root + "/frost")
        let read = try FrostTextures(folder: root + "/frost")
        #expect(read.textures == FrostTextures.synthetic.textures && read.textures.count == 5)
        try Data().write(to: URL(fileURLWithPath: root + "/file"))
        #expect(throws: DatasetError.self) { try FrostTextures.synthetic.write(to: root + "/file") }
    }

    @Test func foldersThatDoNotFitAreRefused() throws {
        let root = FileManager.default.temporaryDirectory.appendingPathComponent("kedge-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: root) }
        func code(_ input: String, _ output: String) -> DatasetError.Code? {
            #expect(throws: DatasetError.self) {
                try FolderCorruption(input: input, output: output, corruptions: [.fog], severities: [1], seed: 1)
            }?.code
        }
        #expect(code(root + "/nowhere", root + "/out") == .missingFolder)
        try FileManager.default.createDirectory(atPath: root + "/in/labels", withIntermediateDirectories: true)
        #expect(code(root + "/in", root + "/out") == .emptyDataset)
        #expect(code(root + "/in", root + "/in/out") == .invalidOption)
        try image(width: 40, height: 40).writePNG(to: root + "/in/a.png")
        try image(width: 40, height: 40).writeJPEG(to: root + "/in/a.jpg")
        #expect(code(root + "/in", root + "/out") == .ambiguousName)
        try image(width: 40, height: 40).writePNG(to: root + "/in/labels/a.png")
        #expect(code(root + "/in", root + "/out") == .invalidOption)
        #expect(throws: DatasetError.self) { try FrostTextures(folder: root + "/nowhere") }
    }
}
