import Tensors

/// A parser under test: the source of its inputs, and what must hold for each of them.
///
/// To fuzz another parser, create one of these and add it to `all`.
public struct FuzzedParser: Sendable {
    /// The name on the command line and of its folder in `Corpus`.
    public let name: String
    /// Maximum size of a generated input, in bytes.
    public let longestInput: Int
    /// Maximum heap usage of one input, in bytes.
    public let memoryLimit: Int
    /// Words of the format, inserted anywhere.
    let words: [[UInt8]]
    /// Inputs written by the project's own writers; those of other tools are in the corpus.
    let written: @Sendable () throws -> [[UInt8]]
    /// A change that knows the format's structure; nil if there are only bytes.
    let change: (@Sendable (inout [UInt8], inout MutationSource) -> Void)?
    /// Corrects the checksums, so that changed contents are not refused because of them.
    let seal: @Sendable ([UInt8]) -> [UInt8]
    /// Parses an input. True if it was accepted, false for an error of the module's own type; throws `FuzzFinding` for
    /// everything else.
    let parse: @Sendable ([UInt8]) throws -> Bool

    init(
        _ name: String, longestInput: Int = 4096, memoryLimit: Int = 16 << 20, words: [String] = [],
        written: @escaping @Sendable () throws -> [[UInt8]] = { [] },
        change: (@Sendable (inout [UInt8], inout MutationSource) -> Void)? = nil,
        seal: @escaping @Sendable ([UInt8]) -> [UInt8] = { $0 },
        parse: @escaping @Sendable ([UInt8]) throws -> Bool
    ) {
        (self.name, self.longestInput, self.memoryLimit) = (name, longestInput, memoryLimit)
        (self.written, self.change, self.seal, self.parse) = (written, change, seal, parse)
        self.words = words.map { Array($0.utf8) }
    }

    /// Every parser that reads files.
    public static let all: [FuzzedParser] = [
        safetensors, adapter, router, pyTorch, png, jpeg, labels, coco, labelMe, manifestLines, segmentAnything1B,
        kvasir, domainManifest, bsData,
        runLengths, recipe, manifest, checkpoint, anchorFile,
    ]

    /// The inputs that all others derive from: the corpus, sorted by name, and the output of the project's writers.
    public func seeds() throws -> [[UInt8]] { try Corpus.files(of: name) + written() }

    /// Parses an input and returns whether it was accepted. Throws `FuzzFinding`.
    public func run(_ bytes: [UInt8]) throws -> Bool { try parse(bytes) }

    /// The input with correct checksums, as far as it can be parsed.
    public func sealed(_ bytes: [UInt8]) -> [UInt8] { seal(bytes) }

    /// Derives an input from another: one to four changes, and in most cases corrected checksums.
    public func mutated(_ bytes: [UInt8], _ source: inout MutationSource) -> [UInt8] {
        var bytes = bytes
        if let change, source.generator.chance(0.6) {
            change(&bytes, &source)
            if source.generator.chance(0.25) { source.changeBytes(of: &bytes) }
        } else {
            source.changeBytes(of: &bytes)
        }
        if source.generator.chance(0.8) { bytes = seal(bytes) }
        return bytes.count > longestInput ? Array(bytes.prefix(longestInput)) : bytes
    }

    /// Input `number`; the same for the same seeds.
    public func input(_ number: Int, of seeds: [[UInt8]]) -> [UInt8] {
        var source = MutationSource(seed: 1, number: number, parser: self, seeds: seeds)
        guard !seeds.isEmpty else { return [] }
        return mutated(seeds[source.generator.index(below: seeds.count)], &source)
    }
}

/// A violation of what every parser must guarantee.
public struct FuzzFinding: Error, CustomStringConvertible {
    public let description: String

    init(_ description: String) { self.description = description }
}

/// Throws a finding unless a condition holds for an accepted input.
func require(_ holds: Bool, _ what: @autoclosure () -> String) throws {
    if !holds { throw FuzzFinding(what()) }
}

/// The result of parsing an input; nil for an error of the type that its module documents, with a one-line message.
func attempt<Value, Failure: Error & CustomStringConvertible>(
    _ type: Failure.Type, _ parse: () throws -> Value
) throws -> Value? {
    do {
        return try parse()
    } catch let error as Failure {
        let text = error.description
        let isPlain = !text.isEmpty && !text.unicodeScalars.contains { $0.value < 0x20 || $0.value == 0x7f }
        try require(isPlain, "an error that is not one plain line: \(text.debugDescription)")
        return nil
    } catch {
        throw FuzzFinding("an error of type \(Swift.type(of: error)): \(error)")
    }
}
