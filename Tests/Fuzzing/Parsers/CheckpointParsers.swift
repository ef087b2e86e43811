import CheckpointStore
import Foundation
import Glibc
import Tensors
import WeightFiles

extension FuzzedParser {
    private static let manifestWords = [
        "\"schema\" : 1", "\"worldSize\" : ", "\"parameterCount\" : ", "\"shards\" : [", "\"settings\" : [",
        "\"digest\" : \"",
        "null", "1e400", "-1", "\"\\ud800\"", "\"\\u0000\"", "/", "..", "[[[[[[[[",
    ]

    /// A shard, three tensors of two numbers.
    private static func shard() throws -> [UInt8] {
        let names = ["parameters", "first_moment", "second_moment"]
        return try SafetensorsFile.encode(
            names.map { TensorToWrite($0, Tensor([1, $0 == "second_moment" ? 2 : -2], [2])) })
    }

    private static func sha256(_ bytes: [UInt8]) -> String {
        let digest = SHA256Digest()
        digest.update(bytes)
        return digest.hexadecimal()
    }

    /// A sealed manifest over one shard.
    private static func sound(_ shard: [UInt8]) throws -> [UInt8] {
        let text = """
            {"badSamples": [1, 5], "changedKeys": [], "emptyBatches": 0, "digest": "", "images": 8, "parameterCount": 2,
            "kernels": [{"firstStep": 0, "ranks": "all", "core": "Zen", "version": "OpenBLAS 0.3.21", "form": "x86-64-v3"}],
            "schema": \(CheckpointManifest.currentSchema), "scores": [{"images": 1, "instances": 2,
            "measures": [{"name": "mean_iou", "value": "0.4"}, {"name": "mean_f1", "value": "0.5"}], "prompt": "box", "seconds": "1.5", "step": 0}], "settings": [{"key": "lora.rank", "value": "4"}],
            "shards": [{"bytes": \(shard.count), "count": 2, "first": 0, "name": "state-00-of-01.safetensors",
            "sha256": "\(sha256(shard))"}], "skips": 1, "skipsInARow": 0, "step": 4, "updates": 3, "worldSize": 1}
            """
        return sealed(Array(text.utf8))
    }

    /// The manifest with a correct digest, if it can be parsed.
    private static func sealed(_ bytes: [UInt8]) -> [UInt8] {
        guard let manifest = try? JSONDecoder().decode(CheckpointManifest.self, from: Data(bytes)),
            let sealed = try? manifest.sealed()
        else { return bytes }
        return [UInt8](sealed)
    }

    /// One change of a manifest's values, rarely one that its text cannot represent.
    private static func change(_ bytes: inout [UInt8], _ source: inout MutationSource) {
        guard var manifest = try? JSONDecoder().decode(CheckpointManifest.self, from: Data(bytes)) else {
            return source.changeBytes(of: &bytes)
        }
        let counts: [WritableKeyPath<CheckpointManifest, Int>] = [
            \.schema, \.step, \.images, \.updates, \.skips, \.skipsInARow, \.worldSize, \.parameterCount,
        ]
        let parts: [WritableKeyPath<CheckpointManifest.Shard, Int>] = [\.bytes, \.first, \.count]
        switch source.generator.index(below: 10) {
        case 9 where manifest.kernels?.isEmpty == false:
            manifest.kernels?[0].firstStep = source.number()
            manifest.kernels?[0].ranks = source.one(of: ["0-3, 6", "", "all", "\n", "-1"])
        case 7: manifest.badSamples = (0..<source.generator.index(below: 4)).map { _ in source.number() }
        case 8 where !manifest.scores.isEmpty:
            let place = source.generator.index(below: manifest.scores.count)
            manifest.scores[place].step = source.number()
            let value = source.one(of: ["nan", "inf", "-1e308", "", "0x1p3", "1e400"])
            if !manifest.scores[place].measures.isEmpty { manifest.scores[place].measures[0].value = value }
            source.rearrange(&manifest.scores)
        case 0: manifest[keyPath: source.one(of: counts)] = source.number()
        case 1 where !manifest.shards.isEmpty:
            let place = source.generator.index(below: manifest.shards.count)
            manifest.shards[place][keyPath: source.one(of: parts)] = source.number()
        case 2: source.rearrange(&manifest.shards)
        case 3: source.rearrange(&manifest.settings)
        case 4 where !manifest.shards.isEmpty:
            let names = [
                "state-00-of-01.safetensors", "/etc/passwd", "../x", "..", "", "a\u{0}b", "manifest.json", ".",
            ]
            manifest.shards[source.generator.index(below: manifest.shards.count)].name = source.one(of: names)
        case 5:
            // Parts that cover the parameters once: many empty ones, or two files of one name.
            manifest.shards += manifest.shards
            var next = 0
            for place in manifest.shards.indices {
                (manifest.shards[place].first, next) = (next, next &+ manifest.shards[place].count)
            }
            (manifest.parameterCount, manifest.worldSize) = (next, manifest.shards.count)
        default: return source.changeDigits(in: &bytes, from: source.generator.index(below: bytes.count))
        }
        if let data = try? JSONEncoder().encode(manifest) { bytes = [UInt8](data) }
    }

    static let manifest = FuzzedParser(
        "manifest", memoryLimit: 8 << 20, words: manifestWords, written: { [try sound(shard())] }, change: change,
        seal: sealed
    ) { bytes in
        let read = try attempt(CheckpointError.self) {
            try CheckpointManifest(reading: Data(bytes), at: "manifest.json")
        }
        guard let manifest = read else { return false }
        try require(try [UInt8](manifest.sealed()) == bytes, "a manifest with two texts")
        try require(manifest.shards.reduce(0) { $0 + $1.count } == manifest.parameterCount, "shards of another size")
        try require(manifest.score?.isFinite ?? true, "a score that is not finite")
        try require(manifest.worldSize == manifest.shards.count, "ranks without a shard")
        try require(
            manifest.shards.allSatisfy { !$0.name.contains("/") && !$0.name.hasPrefix(".") },
            "a shard outside the folder")
        return true
    }

    /// A folder as bytes: the length of the manifest in four bytes, the manifest, and the shard of rank 0.
    private struct Folder {
        var manifest: [UInt8]
        var shard: [UInt8]

        init(_ bytes: [UInt8]) {
            let length = bytes.little(4, at: 0) ?? 0
            manifest = Array(bytes.dropFirst(4).prefix(length))
            shard = Array(bytes.dropFirst(4 + length))
        }

        init(manifest: [UInt8], shard: [UInt8]) { (self.manifest, self.shard) = (manifest, shard) }

        var bytes: [UInt8] {
            var bytes: [UInt8] = []
            bytes.appendLittle(manifest.count, 4)
            return bytes + manifest + shard
        }

        /// The manifest states the shard's size and digest, and its own digest.
        var sealed: Folder {
            guard var told = try? JSONDecoder().decode(CheckpointManifest.self, from: Data(manifest)) else {
                return self
            }
            for place in told.shards.indices where told.shards[place].name == "state-00-of-01.safetensors" {
                (told.shards[place].bytes, told.shards[place].sha256) = (shard.count, FuzzedParser.sha256(shard))
            }
            guard let manifest = try? told.sealed() else { return self }
            return Folder(manifest: [UInt8](manifest), shard: shard)
        }
    }

    static let checkpoint = FuzzedParser(
        "checkpoint", longestInput: 8192, words: manifestWords,
        written: { [Folder(manifest: try sound(shard()), shard: try shard()).bytes] },
        change: { bytes, source in
            var folder = Folder(bytes)
            if source.generator.chance(0.6) {
                SafetensorsParts.change(&folder.shard, &source)
            } else {
                change(&folder.manifest, &source)
            }
            bytes = folder.bytes
        }, seal: { Folder($0).sealed.bytes }
    ) { bytes in
        let (folder, place) = (Folder(bytes), Scratch.path + "step-000004")
        mkdir(place, 0o700)
        try Scratch.write(folder.manifest, to: place + "/manifest.json")
        try Scratch.write(folder.shard, to: place + "/state-00-of-01.safetensors")
        guard let (manifest, state) = try attempt(CheckpointError.self, { try CheckpointStore.load(place) }) else {
            return false
        }
        for numbers in [state.parameters, state.firstMoment, state.secondMoment] {
            try require(numbers.count == manifest.parameterCount, "\(numbers.count) numbers")
            try require(numbers.allSatisfy(\.isFinite), "numbers that are not finite")
        }
        return true
    }
}
