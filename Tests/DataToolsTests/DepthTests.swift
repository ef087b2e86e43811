import DatasetTestSupport
import Datasets
import DataTools
import Foundation
import Imaging
import TestSupport
import Testing

/// Images of more than 8 bits in the check and in corruptions.
@Suite struct DepthTests {
    private let folder: TemporaryFolder
    private static let side = 40

    /// Two images of 16 bits with values from 75 to 189 and from 100 to 200, and one of 8.
    init() throws {
        folder = try TemporaryFolder()
        try write("a", low: 75, high: 189)
        try write("b", low: 100, high: 200)
        for name in ["a", "b"] { try folder.addLabel(name + ".png", width: Self.side, height: Self.side, Self.square) }
    }

    /// An object of sixteen pixels.
    private static let square: [Int: UInt16] = Dictionary(
        uniqueKeysWithValues: (0..<16).map { ($0 / 4 * side + $0 % 4, 1) })

    private func write(_ name: String, low: Int, high: Int) throws {
        let samples = (0..<Self.side * Self.side).flatMap { [UInt8(0), UInt8(low + $0 * 31 % (high - low + 1))] }
        let bytes = try ImageFile.encodePNG(
            samples: samples, width: Self.side, height: Self.side, channels: 1, bytesPerSample: 2)
        try Data(bytes).write(to: URL(fileURLWithPath: "\(folder.path)/images/\(name).png"))
    }

    private func report(
        _ rule: Intensity.Rule = .auto, _ scope: DatasetOptions.IntensityScope = .image
    ) throws -> (text: String, findings: DatasetFindings) {
        var options = folder.options()
        (options.intensity, options.intensityScope) = (rule, scope)
        var check = DatasetCheck(format: "folder", options)
        let findings = try check.run().findings
        return (findings.report(), findings)
    }

    private func depth(_ text: String) -> String? {
        text.split(separator: "\n").first { $0.hasPrefix("depth ") }.map {
            $0.dropFirst(14).trimmingCharacters(in: .whitespaces)
        }
    }

    @Test func theCheckShowsDepthAndRange() throws {
        #expect(try depth(report().text) == "16 bit, values 75 to 200 of 65535, scaled by percentiles")
        #expect(
            try depth(report(.minmax, .dataset).text)
                == "16 bit, values 75 to 200 of 65535, scaled by the data set's minimum and maximum (75 to 200)")
        #expect(try report().findings.warnings == 0)
    }

    @Test func imagesOfBothDepthsAreCounted() throws {
        var image = Image(width: Self.side, height: Self.side, channels: 3, filledWith: 9)
        image.pixels[0] = 5
        try image.writePNG(to: folder.path + "/images/c.png")
        try folder.addLabel("c.png", width: Self.side, height: Self.side, Self.square)
        #expect(
            try depth(report().text)
                == "1 image of 8 bit; 2 images of 16 bit, values 75 to 200 of 65535, scaled by percentiles")
        for name in ["a", "b"] {
            for place in ["images", "labels"] {
                try FileManager.default.removeItem(atPath: "\(folder.path)/\(place)/\(name).png")
            }
        }
        #expect(try depth(report().text) == "8 bit")
        #expect(try depth(report(.percentile).text) == "8 bit, values 5 to 9 of 255, scaled by percentiles")
    }

    /// The high byte of both is 0: said, with the setting that mends it.
    @Test func fewLevelsAreAWarning() throws {
        let (text, findings) = try report(.full)
        #expect(findings.count(.fewLevels) == 2 && findings.isUsable)
        #expect(depth(text) == "16 bit, values 75 to 200 of 65535, cut to the high 8 bits")
        #expect(text.contains("images whose high 8 bits hold few levels (data.intensity=auto scales them): 2"))
        #expect(text.contains("    a: values 75 to 189 become 1 level\n"))
    }

    @Test func corruptionsReadImagesAsRunsDo() throws {
        let output = try TemporaryFolder("corrupted")
        for rule in [Intensity.Rule.auto, .full] {
            let result = output.path + "/" + rule.rawValue
            let corruption = try FolderCorruption(
                input: folder.path + "/images", output: result, corruptions: [.brightness], severities: [1], seed: 1,
                intensity: rule)
            _ = try corruption.run(threads: 1)
            let image = try ImageFile.decode(path: result + "/brightness-1/a.png")
            #expect((Set(image.pixels).count > 50) == (rule == .auto))
        }
    }
}
