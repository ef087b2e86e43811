package import Foundation
import WeightFiles

/// The contents and origin of a checkpoint; `manifest.json`, written last.
///
/// Its own digest is the SHA-256 of its text with an empty digest, and its contents have exactly one text
/// (sorted keys, no floats), so a changed byte anywhere is detected.
public struct CheckpointManifest: Codable, Sendable, Equatable {
    /// The version of this format.
    public static let currentSchema = 6
    /// The oldest version that is read; versions before 4 do not name kernels, those before 5 do not count empty
    /// batches, those before 6 keep nothing of an earlier stage.
    static let oldestSchema = 3
    /// Far above any manifest; a larger file is not read.
    static let byteLimit = 16 << 20

    /// A setting that affects the result.
    public struct Setting: Codable, Sendable, Equatable {
        /// The recipe's key, or a name such as `weights` for anything outside the recipe.
        public var key: String
        /// Its value as text.
        public var value: String

        /// Creates a setting.
        public init(key: String, value: String) { (self.key, self.value) = (key, value) }
    }

    /// One rank's file.
    public struct Shard: Codable, Sendable, Equatable {
        /// The file's name in the checkpoint's folder.
        public var name: String
        /// Its size.
        public var bytes: Int
        /// SHA-256 of the file in hexadecimal digits.
        public var sha256: String
        /// Index of the first value it holds.
        public var first: Int
        /// The number of values it holds of parameters and of each moment.
        public var count: Int

        /// The name of a rank's file.
        static func name(rank: Int, of worldSize: Int) -> String {
            func two(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }
            return "state-\(two(rank))-of-\(two(worldSize)).safetensors"
        }
    }

    /// The version of the format.
    public var schema: Int
    /// Steps done.
    public var step: Int
    /// Images processed.
    public var images: Int
    /// Updates of the run.
    public var updates: Int
    /// Updates of the present optimiser; nil if they are all of the run's.
    public var optimizerUpdates: Int?
    /// Batches skipped in a row.
    public var skipsInARow: Int
    /// Batches skipped in all.
    public var skips: Int
    /// Batches in which no image gave a gradient; nil in versions that do not count them.
    public var emptyBatches: Int?
    /// Keys that differed when the run continued from a checkpoint, ascending; nil in versions that do not record them.
    public var changedKeys: [String]?
    /// Images that could not be read, by their numbers in the data, ascending.
    public var badSamples: [Int]
    /// Number of ranks that wrote it.
    public var worldSize: Int
    /// Number of trainable values.
    public var parameterCount: Int
    /// Scores of the unadapted model and of the last evaluation.
    public var scores: [CheckpointScore]
    /// The vectors kept of the stage before, beside parameters and moments; nil if there are none.
    public var kept: [String]?
    /// The settings that affect the result, in a fixed order.
    public var settings: [Setting]
    /// The kernels its steps were computed with, in order; nil in versions that do not record them.
    public var kernels: [Kernels]?
    /// The files, in the order of ranks.
    public var shards: [Shard]
    /// SHA-256 of this text with an empty digest.
    public var digest: String

    /// The mean over prompts of the first measure for this checkpoint's own weights; nil without an evaluation.
    public var score: Double? {
        let own = scores.filter { $0.step == step }.compactMap { $0.measures.first.flatMap { Double($0.value) } }
            .filter { (0...1).contains($0) }
        return own.isEmpty ? nil : own.reduce(0, +) / Double(own.count)
    }

    /// Creates the manifest of a state whose shards are written.
    init(
        of state: CheckpointState, _ identity: CheckpointStore.Identity, shards: [Shard]
    ) {
        (schema, step, images) = (Self.currentSchema, state.step, state.images)
        (updates, skipsInARow, skips) = (state.updates, state.skipsInARow, state.skips)
        (worldSize, parameterCount, scores) = (shards.count, identity.parameterCount, state.scores)
        (badSamples, emptyBatches, changedKeys) = (state.badSamples, state.emptyBatches, identity.changedKeys)
        (settings, kernels, self.shards, digest) = (identity.settings, identity.kernels, shards, "")
        optimizerUpdates = state.optimizerUpdates == state.updates ? nil : state.optimizerUpdates
        kept = state.kept.isEmpty ? nil : state.kept.map(\.name)
    }

    /// The tensors of every shard, in order.
    var tensors: [String] { Self.tensors(kept: kept ?? []) }

    /// The tensors of a shard with these kept vectors.
    static func tensors(kept: [String]) -> [String] { ["parameters", "first_moment", "second_moment"] + kept }

    /// The text, digest included.
    package func sealed() throws -> Data {
        var sealed = self
        sealed.digest = ""
        let digest = SHA256Digest()
        digest.update(Array(try sealed.text()))
        sealed.digest = digest.hexadecimal()
        return try sealed.text()
    }

    /// Parses a manifest. Throws `CheckpointError` of kind `damaged`, or `changed` for a newer version.
    package init(reading data: Data, at path: String) throws(CheckpointError) {
        func damaged(_ reason: String) -> CheckpointError { .damaged(path, reason) }
        struct Form: Decodable { var schema: Int }
        // A flipped bit in the version must not pass for another version, so the digest is checked first.
        let readable = Self.oldestSchema...Self.currentSchema
        if let form = try? JSONDecoder().decode(Form.self, from: data), !readable.contains(form.schema),
            Self.matchesOwnDigest(data)
        {
            throw CheckpointError(
                .changed, at: path,
                "has form \(form.schema), this program reads \(readable.lowerBound) to \(readable.upperBound)",
                remedy: "continue with the program that wrote it")
        }
        do { self = try JSONDecoder().decode(Self.self, from: data) } catch { throw damaged("is not a manifest") }
        guard (try? sealed()) == data else { throw damaged("does not match its own digest") }
        let counts = [step, images, updates, skipsInARow, skips, emptyBatches ?? 0]
        guard counts.allSatisfy({ (0..<1 << 52).contains($0) }), (0..<1 << 40).contains(parameterCount),
            skips >= skipsInARow, worldSize == shards.count, worldSize > 0,
            scores.allSatisfy({ score in
                Double(score.seconds) != nil && score.measures.allSatisfy { Double($0.value) != nil }
            }),
            kernels?.allSatisfy({ (0...step).contains($0.firstStep) }) ?? true,
            badSamples.allSatisfy({ $0 >= 0 }), zip(badSamples, badSamples.dropFirst()).allSatisfy({ $0 < $1 })
        else { throw damaged("holds impossible numbers") }
        if let contradiction { throw damaged(contradiction) }
        var next = 0
        for (rank, shard) in shards.enumerated() {
            guard shard.name == Shard.name(rank: rank, of: worldSize), shard.first == next, shard.count >= 0,
                shard.count <= parameterCount - next, shard.bytes >= 12 * shard.count
            else { throw damaged("lists files that do not cover the parameters once") }
            next += shard.count
        }
        guard next == parameterCount else { throw damaged("lists files that do not cover the parameters once") }
    }

    /// How its counts contradict each other; nil if they agree.
    private var contradiction: String? {
        let explained = updates + skips + (emptyBatches ?? 0)
        // Every step updates, is skipped or is empty. Older versions do not count the empty ones.
        guard emptyBatches == nil ? explained <= step : explained == step else {
            return "states step \(step), but \(updates) updates, \(skips) skipped batches and "
                + "\(emptyBatches ?? 0) without a gradient"
        }
        if let own = optimizerUpdates, !(0..<updates).contains(own) {
            return "states \(updates) updates, but \(own) of the optimiser"
        }
        guard schema < 5 || emptyBatches != nil && changedKeys != nil else { return "lacks counts of its version" }
        return images < step ? "states step \(step), but only \(images) images" : nil
    }

    /// Whether a text of any version in this encoding has the digest it states.
    private static func matchesOwnDigest(_ data: Data) -> Bool {
        let mark = Data("\"digest\" : \"".utf8)
        guard let place = data.range(of: mark), data.count >= place.upperBound + 64 else { return false }
        let stated = data[place.upperBound..<place.upperBound + 64]
        let digest = SHA256Digest()
        digest.update([UInt8](data[..<place.upperBound] + data[(place.upperBound + 64)...]))
        return Data(digest.hexadecimal().utf8) == stated
    }

    private func text() throws -> Data {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .prettyPrinted, .withoutEscapingSlashes]
        return try encoder.encode(self) + Data("\n".utf8)
    }
}
