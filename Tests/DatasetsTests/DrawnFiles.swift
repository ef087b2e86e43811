import Datasets
import Foundation
import Imaging
import TestSupport
import Testing

/// Files of data sets drawn in characters: a row of text is a row of pixels, `.` is 0, `1` to `9` and `a` to `z` are 1 to 35,
/// `#` is 255.
extension TemporaryFolder {
    private func place(_ name: String) throws -> String {
        let url = URL(fileURLWithPath: path + "/" + name)
        try FileManager.default.createDirectory(
            at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
        return url.path
    }

    static func value(_ character: Character) -> UInt8 {
        switch character {
        case "#": 255
        case ".": 0
        default: UInt8(character.hexDigitValue ?? Int(character.asciiValue ?? 0) - 87)
        }
    }

    /// Writes an image of one colour, PNG or JPEG by its name.
    func draw(_ name: String, width: Int = 4, height: Int = 3) throws {
        let image = Image(width: width, height: height, channels: 3, filledWith: 9)
        let path = try place(name)
        if name.hasSuffix("png") { try image.writePNG(to: path) } else { try image.writeJPEG(to: path) }
    }

    /// Writes a grey picture of the values, each `scale` times the character's; PNG or JPEG by its name.
    func draw(_ name: String, _ rows: [String], scale: Int = 1) throws {
        let values = rows.joined().map { UInt8(clamping: Int(Self.value($0)) * scale) }
        let image = Image(width: rows[0].count, height: rows.count, channels: 1, pixels: values)
        let path = try place(name)
        if name.hasSuffix("png") { try image.writePNG(to: path) } else { try image.writeJPEG(to: path, quality: 50) }
    }

    /// Writes a PNG of labels, of 16 bits if `offset` makes them so large.
    func draw(labels name: String, _ rows: [String], offset: UInt16 = 0) throws {
        let values = rows.joined().map { $0 == "." ? 0 : UInt16(Self.value($0)) + offset }
        try LabelImage(width: rows[0].count, height: rows.count, labels: values).writePNG(to: place(name))
    }

    /// Writes a palette PNG of 8 bits with the colours of Pascal VOC, where an index's bits 0, 3 and 6 are the highest of red.
    func draw(palette name: String, _ rows: [String]) throws {
        func channel(_ index: Int, _ first: Int) -> UInt8 {
            UInt8((0..<3).reduce(0) { $0 | (index >> (first + 3 * $1) & 1) << (7 - $1) } & 255)
        }
        let palette = (0..<256).flatMap { index in (0..<3).map { channel(index, $0) } }
        let lines = rows.flatMap { row -> [UInt8] in [0] + row.map(Self.value) }
        var png: [UInt8] = [137, 80, 78, 71, 13, 10, 26, 10]
        png += Self.chunk("IHDR", Self.bytes(rows[0].count) + Self.bytes(rows.count) + [8, 3, 0, 0, 0])
        png += Self.chunk("PLTE", palette)
        png += Self.chunk("IDAT", Self.stored(lines))
        png += Self.chunk("IEND", [])
        try Data(png).write(to: URL(fileURLWithPath: place(name)))
    }

    private static func bytes(_ number: Int) -> [UInt8] { (0..<4).map { UInt8(number >> (24 - 8 * $0) & 255) } }

    private static func chunk(_ type: String, _ data: [UInt8]) -> [UInt8] {
        let body = Array(type.utf8) + data
        var crc: UInt32 = .max
        for byte in body {
            crc ^= UInt32(byte)
            for _ in 0..<8 { crc = crc & 1 == 1 ? crc >> 1 ^ 0xEDB8_8320 : crc >> 1 }
        }
        return bytes(data.count) + body + bytes(Int(~crc))
    }

    /// A zlib stream of one block that is not compressed.
    private static func stored(_ data: [UInt8]) -> [UInt8] {
        var (a, b) = (1, 0)
        for byte in data { (a, b) = ((a + Int(byte)) % 65_521, (b + a + Int(byte)) % 65_521) }
        let (low, high) = (UInt8(data.count & 255), UInt8(data.count >> 8))
        return [0x78, 1, 1, low, high, ~low, ~high] + data + bytes(b << 16 | a)
    }

    /// Opens a data set in a subfolder.
    func open(
        _ format: String, in place: String, rules: DatasetOptions.LabelRules = .corrected, binarise: UInt8? = nil,
        annotations: String? = nil
    ) throws -> any SegmentationDataset {
        try DatasetRegistry.open(
            format,
            DatasetOptions(
                root: path + "/" + place, binariseThreshold: binarise, annotations: annotations, labelRules: rules))
    }

    /// Truncates a file, so that its header can be read but not its pixels.
    func cut(_ name: String, by count: Int) throws {
        let url = URL(fileURLWithPath: path + "/" + name)
        try Data(contentsOf: url).dropLast(count).write(to: url)
    }
}

/// Names, counts and masks of a data set, after the checks that every one passes: counts without decoding agree with
/// samples, and fingerprints begin with names.
struct ReadDataset {
    let ids: [String]
    let samples: [Sample]
    /// For every image the masks of its instances in rows of `.` and `#`.
    let masks: [[[String]]]

    init(_ dataset: any SegmentationDataset) throws {
        let all = Array(0..<dataset.count)
        ids = all.map(dataset.id)
        samples = try all.map(dataset.sample)
        #expect(try all.map(dataset.instanceCount) == samples.map(\.instanceCount))
        #expect(samples.map(\.id) == ids && Set(ids).count == ids.count)
        for index in all { #expect(dataset.fingerprint(index).hasPrefix(ids[index] + " ")) }
        masks = samples.map { sample in
            guard let masks = sample.instances else { return [] }
            return (0..<masks.count).map { instance in
                (0..<masks.height).map { y in
                    String((0..<masks.width).map { masks[instance, x: $0, y: y] ? "#" : "." })
                }
            }
        }
    }
}
