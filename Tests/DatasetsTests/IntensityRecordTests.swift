import DatasetTestSupport
import Datasets
import Foundation
import Imaging
import TestSupport
import Testing

/// How images became 8 bits, in adapter files, and the range of a data set.
@Suite struct IntensityRecordTests {
    private static func options(
        _ rule: Intensity.Rule, _ scope: DatasetOptions.IntensityScope, _ ranges: Intensity.Ranges? = nil
    ) -> DatasetOptions {
        var options = DatasetOptions()
        (options.intensity, options.intensityScope, options.measuredRanges) = (rule, scope, ranges)
        return options
    }

    @Test func textsAreReadAsWritten() throws {
        let ranges = Intensity.Ranges(eight: SampleRange(low: 3, high: 250), sixteen: SampleRange(low: 325, high: 667))
        let record = IntensityRecord([
            .init(source: "data", Self.options(.auto, .image)),
            .init(source: "b-2", Self.options(.percentile, .dataset, ranges)),
            .init(source: "c", Self.options(.minmax, .dataset, .init(sixteen: ranges.sixteen))),
        ])
        #expect(record.text == "data=auto b-2=percentile,dataset,8:3-250,16:325-667 c=minmax,dataset,16:325-667")
        #expect(IntensityRecord(text: record.text) == record)
        #expect(record.entry(of: "b-2")?.intensity == Intensity(.percentile, ranges: ranges))
        #expect(record.entry(of: "unknown") == nil && record.common == nil)
        let one = try #require(IntensityRecord(text: "data=auto"))
        #expect(one.entry(of: "unknown")?.rule == .auto)
        for text in [
            "", "data", "data=", "=auto", "data=wide", "data=auto,16:5", "data=auto,16:9-5", "data=auto,12:1-2",
            "data=auto,16:1-70000", "data=auto x",
        ] {
            #expect(IntensityRecord(text: text) == nil, "\(text)")
        }
    }

    @Test func theRangeOfADataSetDoesNotDependOnTheOrder() throws {
        let folder = try TemporaryFolder()
        for (index, offset) in [0, 900, 300].enumerated() {
            let samples = (0..<12).flatMap { [UInt8((offset + $0) >> 8), UInt8((offset + $0) & 255)] }
            try Data(ImageFile.encodePNG(samples: samples, width: 4, height: 3, channels: 1, bytesPerSample: 2))
                .write(to: URL(fileURLWithPath: "\(folder.path)/images/\(index).png"))
            try folder.addLabel("\(index).png", [0: 1])
        }
        try folder.addImage("3.png", value: 40)
        try folder.addLabel("3.png", [0: 1])
        let dataset = try folder.open()
        for order in [[0, 1, 2, 3], [3, 1, 0, 2]] {
            var measurement = IntensityMeasurement()
            for index in order { try measurement.add(dataset, index) }
            let again = IntensityMeasurement(counts: measurement.counts)
            for whole in [measurement, again] {
                #expect(
                    whole.ranges(.minmax)
                        == Intensity.Ranges(
                            eight: SampleRange(low: 40, high: 40), sixteen: SampleRange(low: 0, high: 911)))
                #expect(whole.ranges(.auto).eight == nil && whole.ranges(.auto).sixteen != nil)
                #expect(whole.ranges(.full) == Intensity.Ranges())
            }
        }
        var options = folder.options()
        (options.intensity, options.intensityScope) = (.minmax, .dataset)
        #expect(options.needsRanges)
        options.measuredRanges = Intensity.Ranges(sixteen: SampleRange(low: 0, high: 911))
        #expect(!options.needsRanges)
        let read = try DatasetRegistry.open("folder", options)
        #expect(try read.image(0).pixels[0] == 0 && read.image(1).pixels[0] == UInt8((900 * 510 + 911) / 1822))
        // One value is no range.
        #expect(try read.image(3).pixels[0] == 40)
    }
}
