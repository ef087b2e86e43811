package import Datasets
import Foundation
import Imaging
import WeightFiles

/// A data set as one domain of a continual benchmark, as a file states it: which samples train, which are scored, which are
/// kept, and what each of them was.
///
/// The format `cosam` reads the lists, and a check of it compares the digests.
public struct ManifestDescription: Sendable, Equatable, Encodable {
    /// Where samples and lists come from.
    public struct Provenance: Sendable, Equatable, Encodable {
        /// The name of the format.
        public let format: String
        /// What one sample is, as in the recipe's key `data.samples`.
        public let samples: String
        /// How the parts were made.
        public let split: String
        /// How the memory was chosen.
        public let memory: String
    }

    /// One sample.
    public struct Entry: Sendable, Equatable, Encodable {
        /// Its name.
        public let name: String
        /// The image below the data set's folder; nil if it comes from no file.
        public let image: String?
        /// The files of its labels, which may be those of other samples too.
        public let labels: [String]
        /// SHA-256 of its pixels and masks, in hexadecimal digits.
        public let sha256: String
    }

    /// The domain's name.
    public let domain: String
    /// Names of the samples to train on.
    public let train: [String]
    /// Names of the samples to evaluate on.
    public let test: [String]
    /// Names of the training samples that are kept for later stages.
    public let memory: [String]
    /// Where all of it comes from.
    public let provenance: Provenance
    /// The samples in the order of the data set.
    public let samples: [Entry]

    /// Describes the readable samples of a data set, divided as published or else four to one with a fixed seed.
    ///
    /// - Parameter entries: Of every sample that could be read, by its index, ascending.
    init(
        _ dataset: any SegmentationDataset, entries: [(index: Int, entry: Entry)], domain: String,
        format: String, _ options: DatasetOptions
    ) {
        let readable = Set(entries.map(\.index))
        let published = dataset.publishedSplit
        let split = published ?? KToOneSplit.drawn.apply(to: dataset)
        let training = split.training.filter(readable.contains)
        let subset = DatasetSubset(dataset, indices: training)
        let seed: UInt64 = 0
        self.domain = domain
        train = training.map(dataset.id)
        test = split.evaluation.filter(readable.contains).map(dataset.id)
        memory = ReplayMemory.choose(from: subset, seed: seed).map(subset.id)
        provenance = Provenance(
            format: format, samples: DatasetRegistry.sampleUnit(format, options).rawValue,
            split: published == nil ? "\(KToOneSplit.drawn.k):1 of the images, drawn with seed 0" : "of the format",
            memory: subset.publishedMemory == nil ? "drawn with seed \(seed)" : "listed by the data set")
        samples = entries.map(\.entry)
    }

    /// The file: JSON with sorted keys.
    public func json() throws -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        return [UInt8](try encoder.encode(self)) + [UInt8(ascii: "\n")]
    }

    /// Writes the file, whole or not at all. Throws `DatasetError`.
    public func write(to path: String) throws {
        let bytes = try json()
        do throws(WeightFileError) {
            try AtomicFile.write(bytes, to: path)
        } catch {
            throw DatasetError(.writeFailed, at: path, error.found, remedy: error.remedy)
        }
    }
}

extension Sample {
    /// SHA-256 of the image and its masks as they are used, in hexadecimal digits: independent of how files store them.
    package var contentDigest: String {
        let digest = SHA256Digest()
        let count = instances?.count ?? 0
        digest.update(Array("\(image.width) \(image.height) \(count)\n".utf8))
        digest.update(image.pixels)
        for instance in 0..<count { instances.map { digest.update($0.bitmap(of: instance)) } }
        return digest.hexadecimal()
    }
}
