import Datasets
import Foundation
import Runs
import Testing

/// The files of maps: they come back as they were written, and anything else counts as missing or damaged.
@Suite struct MapFileTests {
    private let folder = FileManager.default.temporaryDirectory.path + "/maps-\(UUID().uuidString)"

    private func maps(_ count: Int, side: Int = 8) -> PseudoMaps {
        let area = side * side
        let probability = (0..<count * area).map { UInt8(truncatingIfNeeded: $0 * 7 + $0 / area * 31) }
        return PseudoMaps(side: side, probability: probability, refined: probability.map { 255 - $0 })
    }

    private func inFolder(_ body: (String) throws -> Void) throws {
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try body(folder + "/000001")
    }

    @Test(arguments: [0, 1, 63, 64, 65, 130]) func mapsComeBack(_ count: Int) throws {
        try inFolder { path in
            let maps = maps(count)
            try MapFile.write(maps, identity: "a b", to: path)
            let note = try #require(MapFile(path: path, identity: "a b"))
            #expect(note.uncertainty.count == count)
            #expect(note.maps(path: path) == maps)
            #expect(MapFile(path: path, identity: "a c") == nil, "maps of another model are not these")
        }
    }

    @Test func damageIsNoticed() throws {
        try inFolder { path in
            try MapFile.write(maps(2), identity: "a", to: path)
            let note = try #require(MapFile(path: path, identity: "a"))
            var bytes = try Data(contentsOf: URL(fileURLWithPath: path + ".png"))
            bytes[bytes.count / 2] ^= 1
            try bytes.write(to: URL(fileURLWithPath: path + ".png"))
            #expect(note.maps(path: path) == nil)
            // Another image's PNG is whole, and not the one.
            try MapFile.write(maps(2, side: 4), identity: "b", to: path + "x")
            try FileManager.default.removeItem(atPath: path + ".png")
            #expect(note.maps(path: path) == nil)
            try FileManager.default.copyItem(atPath: path + "x.png", toPath: path + ".png")
            #expect(note.maps(path: path) == nil)
            try "{".write(toFile: path + ".json", atomically: true, encoding: .utf8)
            #expect(MapFile(path: path, identity: "a") == nil)
        }
    }

    /// Masks of fewer than 100 pixels on the canvas, and of almost the whole image, are left out.
    @Test func sizesDecideWhatIsUsable() throws {
        try inFolder { path in
            let side = 16
            let areas = [6, 7, 243, 244]
            let probability = areas.flatMap { area in (0..<side * side).map { UInt8($0 < area ? 200 : 10) } }
            let refined = areas.flatMap { area in (0..<side * side).map { UInt8($0 < 256 - area ? 200 : 10) } }
            let maps = PseudoMaps(side: side, probability: probability, refined: refined)
            try MapFile.write(maps, identity: "a", to: path)
            let note = try #require(MapFile(path: path, identity: "a"))
            #expect(note.usable(refined: false) == [1, 2])
            #expect(note.usable(refined: true) == [2, 3])
        }
    }

    @Test func uncertaintyIsThatOfTheRegion() {
        let maps = PseudoMaps(
            side: 2, probability: [255, 255, 0, 0, 0, 0, 0, 0], refined: [255, 0, 0, 51, 0, 0, 0, 0])
        #expect(maps.meanUncertainty(of: 0) == 0.5)
        #expect(maps.meanUncertainty(of: 1) == 0)
        #expect(maps.selecting([1, 0]).probability == [0, 0, 0, 0, 255, 255, 0, 0])
    }
}
