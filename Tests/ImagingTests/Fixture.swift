import Foundation
import Imaging

/// Reads the files under `Fixtures`, written by `Fixtures/generate.py`.
enum Fixture {
    static func path(_ name: String) -> String {
        Bundle.module.bundleURL.appendingPathComponent("Fixtures/\(name)").path
    }

    static func bytes(_ name: String) throws -> [UInt8] {
        [UInt8](try Data(contentsOf: URL(fileURLWithPath: path(name))))
    }

    static func image(_ name: String, channels: Int = 3) throws -> Image {
        let (width, height, values) = try sized(name)
        return Image(width: width, height: height, channels: channels, pixels: values)
    }

    static func labels(_ name: String) throws -> LabelImage {
        let (width, height, values) = try sized(name)
        let labels = (0..<width * height).map { UInt16(values[2 * $0]) | UInt16(values[2 * $0 + 1]) << 8 }
        return LabelImage(width: width, height: height, labels: labels)
    }

    private static func sized(_ name: String) throws -> (width: Int, height: Int, values: [UInt8]) {
        let bytes = try bytes(name)
        func number(_ at: Int) -> Int { (0..<4).reduce(0) { $0 | Int(bytes[at + $1]) << (8 * $1) } }
        return (number(0), number(4), Array(bytes[8...]))
    }

    /// Runs `body` with a new folder, which is removed afterwards.
    static func withTemporaryFolder<Result>(_ body: (String) throws -> Result) throws -> Result {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        return try body(folder.path)
    }
}

/// The samples that both Pillow and the tests resize: `((i * 2654435761 + (i >> 8) * 40503) mod 2^32) >> 13 mod 256`.
func pattern(_ count: Int) -> [UInt8] {
    (0..<UInt32(count)).map { UInt8(truncatingIfNeeded: ($0 &* 2_654_435_761 &+ ($0 >> 8) &* 40503) >> 13) }
}

func fnv1a(_ bytes: some Sequence<UInt8>) -> UInt64 {
    bytes.reduce(0xCBF2_9CE4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 }
}
