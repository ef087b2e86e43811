import Adapters
import Foundation
import Layers
import SegmentAnything
import Tensors
import Testing
import TestSupport
import WeightFiles

/// A pool's folder: adding, opening, removing, and everything that may be wrong with it.
@Suite struct AdapterPoolTests {
    private let place: TemporaryFolder
    private let model = ModelDescription(.tiny)

    init() throws { place = try TemporaryFolder("pool") }

    private func adapted(_ seed: UInt64) throws -> AdaptedModel {
        let options = AdapterOptions(rank: 2, seed: seed)
        return AdaptedModel(.tiny, NamedValues(), try Trainables(.lowRankPairs, in: model, options))
    }

    private func description(_ step: Int) -> AdapterFile.Description {
        .init(model: "tiny", imageSize: 128, baseDigest: "base", preprocessing: "sam", step: step, recipeDigest: "r")
    }

    private func pool(_ domains: [String], in name: String = "pool") throws -> AdapterPool {
        let path = place.path + "/" + name
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        var pool = AdapterPool(
            path, model: "tiny", baseDigest: "base", view: "fit",
            routing: .init(query: "statistics", seed: 7, rejectBeyond: 1.96))
        for (place, domain) in domains.enumerated() {
            try pool.append(
                self.domain(domain, images: 5 + place), adapted(UInt64(place)), AdapterOptions(rank: 2), description(3))
        }
        return pool
    }

    private func domain(_ name: String, images: Int) -> AdapterPool.Domain {
        .init(name, steps: 7, images: images, memory: [[1, 2, Float(images)], [4, 5, 6]], memoryImages: ["x", "y"])
    }

    private func bytes(_ pool: AdapterPool) throws -> [String: Data] {
        var files: [String: Data] = [:]
        for entry in pool.entries {
            files[entry.domain] = try Data(contentsOf: URL(fileURLWithPath: pool.path(of: entry.file)))
        }
        return files
    }

    @Test func whatIsWrittenIsRead() throws {
        let pool = try pool(["steel", "tiles"])
        let opened = try AdapterPool(opening: pool.path)
        #expect(opened == pool)
        #expect(opened.entries.map(\.domain) == ["steel", "tiles"] && opened.entries.map(\.images) == [5, 6])
        #expect(opened.entries.map(\.steps) == [7, 7])
        #expect(opened.entries.map(\.file.name) == ["001-steel.safetensors", "002-tiles.safetensors"])
        let file = try AdapterFile(opening: opened.path(of: opened.entries[1].file))
        let layout = try file.trainables(in: model).layout
        let values = try file.values(of: layout, baseDigest: "base")
        #expect(try values.elements == #require(adapted(1).trained).values.elements)
        #expect(throws: WeightFileError.self) { try file.values(of: layout, baseDigest: "other") }
        #expect(try opened.memory(of: opened.entries[0]) == [[1, 2, 5], [4, 5, 6]])
        var shorter = opened
        shorter.keepFirst(1)
        #expect(shorter.entries == [opened.entries[0]])
    }

    /// A further domain and a removal change no byte of the others.
    @Test func theOthersKeepTheirBytes() throws {
        var pool = try pool(["a", "b", "c"])
        let before = try bytes(pool)
        try pool.append(domain("d", images: 1), adapted(9), AdapterOptions(rank: 2), description(1))
        #expect(try bytes(pool).filter { $0.key != "d" } == before)
        try pool.remove(["b"])
        #expect(try bytes(pool).keys.sorted() == ["a", "c", "d"])
        #expect(try bytes(pool)["c"] == before["c"])
        // A number is never given twice.
        try pool.append(domain("b", images: 6), adapted(1), AdapterOptions(rank: 2), description(3))
        #expect(pool.entries.map(\.file.name).last == "005-b.safetensors")
        #expect(try AdapterPool(opening: pool.path) == pool)
        let error = #expect(throws: WeightFileError.self) { try pool.remove(["x"]) }
        #expect(error?.description.contains("choose one of: a, c, d, b") == true, "\(error as Any)")
    }

    /// A new router takes the place of the old one, and does not survive the removal of a domain.
    @Test func theRouterFollowsTheDomains() throws {
        var pool = try pool(["a", "b"])
        func set(_ text: String) throws {
            try pool.setRouter(trainedBy: pool.routing) { path throws(WeightFileError) in
                _ = FileManager.default.createFile(atPath: path, contents: Data(text.utf8))
                return try FileDigest.sha256(of: path)
            }
        }
        try set("first")
        let first = try #require(pool.router)
        try set("second")
        #expect(pool.router != first && !FileManager.default.fileExists(atPath: pool.path(of: first)))
        #expect(try AdapterPool(opening: pool.path) == pool)
        try pool.remove(["a"])
        #expect(pool.router == nil)
        #expect(
            try FileManager.default.contentsOfDirectory(atPath: pool.path).sorted() == [
                "002-b.memory.safetensors", "002-b.safetensors", "pool.json",
            ])
    }

    @Test func damageIsNamed() throws {
        func problem(_ name: String, _ damage: (AdapterPool) throws -> Void) throws -> String {
            let pool = try pool(["a", "b"], in: name)
            try damage(pool)
            let error = #expect(throws: WeightFileError.self) { _ = try AdapterPool(opening: pool.path) }
            return error?.description ?? ""
        }
        func manifest(_ pool: AdapterPool) -> String { pool.path + "/pool.json" }
        #expect(
            try problem("gone") { try FileManager.default.removeItem(atPath: manifest($0)) }.contains("no such file"))
        #expect(
            try problem("missing") { try FileManager.default.removeItem(atPath: $0.path(of: $0.entries[1].file)) }
                .contains("002-b.safetensors"))
        #expect(
            try problem("changed") {
                let path = $0.path(of: $0.entries[0].file)
                var data = try Data(contentsOf: URL(fileURLWithPath: path))
                data[data.count - 1] ^= 1
                try data.write(to: URL(fileURLWithPath: path))
            }.contains("SHA-256"))
        for (name, old, new) in [
            ("syntax", "{", "["), ("twice", "\"b\"", "\"a\""), ("version", "\"version\" : 2", "\"version\" : 9"),
            ("outside", "001-a", "../001-a"),
        ] {
            let text = try problem(name) {
                let text = try String(contentsOfFile: manifest($0), encoding: .utf8)
                #expect(text.contains(old))
                try text.replacing(old, with: new).write(toFile: manifest($0), atomically: true, encoding: .utf8)
            }
            #expect(text.contains("no manifest of a pool"), "\(name): \(text)")
        }
    }

    /// Damaged domains are removed, and the files of the others are as before.
    @Test func aDamagedPoolIsRepaired() throws {
        let pool = try pool(["a", "b", "c"])
        let before = try bytes(pool)
        try Data("no adapter".utf8).write(to: URL(fileURLWithPath: pool.path(of: pool.entries[0].file)))
        try FileManager.default.removeItem(atPath: pool.path(of: pool.entries[2].memory))
        #expect(throws: WeightFileError.self) { _ = try AdapterPool(opening: pool.path) }
        var repaired = try AdapterPool(forRepair: pool.path)
        let damages = repaired.files.compactMap { repaired.damage(of: $0)?.path.split(separator: "/").last }
        #expect(damages == ["001-a.safetensors", "003-c.memory.safetensors"])
        try repaired.remove(["c", "a"])
        let opened = try AdapterPool(opening: pool.path)
        #expect(try opened == repaired && bytes(opened) == before.filter { $0.key == "b" })
    }

    /// What cannot be written changes nothing, and a router at fault is named with its own remedy.
    @Test func aFailedChangeLeavesThePoolAsItWas() throws {
        var pool = try pool(["a", "b"])
        let before = try AdapterPool(opening: pool.path)
        #expect(throws: WeightFileError.self) {
            try pool.remove(["a"]) { path throws(WeightFileError) in
                throw WeightFileError(.spaceLeft, path: path, found: "full", remedy: "none")
            }
        }
        #expect(pool == before && FileManager.default.fileExists(atPath: pool.path(of: pool.entries[0].file)))
        #expect(try AdapterPool(opening: pool.path) == before)
        try pool.setRouter(trainedBy: .init(query: "embedding", seed: 1, rejectBeyond: 0)) {
            path throws(WeightFileError) in
            _ = FileManager.default.createFile(atPath: path, contents: Data("router".utf8))
            return try FileDigest.sha256(of: path)
        }
        #expect(try AdapterPool(opening: pool.path).routing.query == "embedding")
        try FileManager.default.removeItem(atPath: pool.path(of: #require(pool.router)))
        let error = #expect(throws: WeightFileError.self) { _ = try AdapterPool(opening: pool.path) }
        #expect(error?.description.contains("kedge pool train-router") == true, "\(error as Any)")
    }

    @Test func queriesHaveOneWidth() throws {
        let pool = try pool(["a", "b"])
        #expect(try pool.memory(of: pool.entries) == [[[1, 2, 5], [4, 5, 6]], [[1, 2, 6], [4, 5, 6]]])
        #expect(try pool.memory(of: pool.entries, width: 3).count == 2)
        let error = #expect(throws: WeightFileError.self) { _ = try pool.memory(of: pool.entries, width: 4) }
        #expect(error?.description.contains("queries of 3 numbers, not 4") == true, "\(error as Any)")
        var mixed = pool
        let odd = AdapterPool.Domain("odd", steps: 1, images: 1, memory: [[1, 2]], memoryImages: ["z"])
        try mixed.append(odd, adapted(3), AdapterOptions(rank: 2), description(1))
        let own = #expect(throws: WeightFileError.self) { _ = try mixed.memory(of: mixed.entries) }
        #expect(own?.path.contains("003-odd.memory") == true, "\(own as Any)")
    }

    @Test func aCopyHasTheSameBytes() throws {
        let pool = try pool(["a", "b"])
        let copy = try pool.copied(to: place.path + "/copies/copy")
        #expect(try AdapterPool(opening: copy.path) == copy)
        #expect(copy.entries == pool.entries && copy.digest == pool.digest)
        #expect(try bytes(copy) == bytes(pool))
        var shorter = copy
        shorter.keepFirst(1)
        #expect(shorter.digest != pool.digest)
        try Data("changed".utf8).write(to: URL(fileURLWithPath: pool.path(of: pool.entries[1].file)))
        let error = #expect(throws: WeightFileError.self) { _ = try pool.copied(to: place.path + "/copies/other") }
        #expect(error?.description.contains("002-b.safetensors") == true, "\(error as Any)")
        let manifest = place.path + "/copies/other/pool.json"
        #expect(!FileManager.default.fileExists(atPath: manifest), "a copy that failed is no pool")
    }
}
