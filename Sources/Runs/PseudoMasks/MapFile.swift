package import Datasets
import Foundation
import Imaging
import WeightFiles

/// The maps of one image's pseudo-masks on disk: a grey PNG that people can look at, and a note beside it.
///
/// Each mask is a pair of squares, sigma(s) left and sigma(r) right, pairs below each other in columns of 64. The note has the
/// inputs of the maps and the digest of the PNG; it is written last, so a half written pair counts as missing.
package struct MapFile: Codable, Equatable {
    /// The inputs of the maps: base weights, what they are compared with, pseudo-masks and image. Maps with other inputs are
    /// made again.
    package var identity: String
    /// SHA-256 of the PNG.
    package var digest: String
    /// Side of the squares.
    package var side: Int
    /// The mean uncertainty of each mask. // n
    package var uncertainty: [Double]
    /// Pixels of the squares that each pseudo-mask and each refined mask has. // n x 2
    package var areas: [[Int]]

    /// What is read back: room for two thousand masks, as many as a dense grid of prompts finds.
    private static let limits = ImageLimits(side: 1 << 16, pixels: 1 << 28)
    /// Pairs in a column.
    private static let rows = 64
    /// Least pixels of a mask: 100 on a canvas of four times the side, the released code's smallest mask.
    private static let leastArea = 7
    /// The part of the square from which on a mask is left out.
    private static let mostArea = 0.95

    /// Reads a note; nil if it is missing, damaged, or describes maps of another identity.
    package init?(path: String, identity: String) {
        guard let note = Self(path: path), note.identity == identity else { return nil }
        self = note
    }

    /// Reads a note of any identity; nil if it is missing or damaged.
    private init?(path: String) {
        guard let data = FileManager.default.contents(atPath: path + ".json"),
            let note = try? JSONDecoder().decode(Self.self, from: data), note.side > 0,
            note.uncertainty.count == note.areas.count, note.areas.allSatisfy({ $0.count == 2 })
        else { return nil }
        self = note
    }

    /// What is on disk for an image.
    package enum State: Sendable {
        /// Maps of these inputs, whole.
        case whole
        /// Nothing, or what a killed run left.
        case missing
        /// Maps of these inputs whose bytes have changed.
        case damaged
        /// Maps of other inputs.
        case foreign
    }

    /// Looks at both files.
    package static func state(path: String, identity: String) -> State {
        guard let note = Self(path: path) else { return .missing }
        guard note.identity == identity else { return .foreign }
        if note.maps(path: path) != nil { return .whole }
        return FileManager.default.fileExists(atPath: path + ".png") ? .damaged : .missing
    }

    private init(_ maps: PseudoMaps, identity: String, digest: String) {
        (self.identity, self.digest, side) = (identity, digest, maps.side)
        uncertainty = (0..<maps.count).map { maps.meanUncertainty(of: $0) }
        areas = (0..<maps.count).map { mask in
            let place = mask * maps.side * maps.side..<(mask + 1) * maps.side * maps.side
            return [maps.probability, maps.refined].map { values in values[place].count { $0 > 127 } }
        }
    }

    /// The masks that can be trained on: neither too small nor almost the whole square.
    ///
    /// - Parameter refined: Whether the refined masks are the labels.
    package func usable(refined: Bool) -> [Int] {
        areas.indices.filter { mask in
            let area = areas[mask][refined ? 1 : 0]
            return area >= Self.leastArea && Double(area) < Self.mostArea * Double(side * side)
        }
    }

    /// Writes maps and note. Throws `ImagingError`.
    package static func write(_ maps: PseudoMaps, identity: String, to path: String) throws {
        let bytes = try ImageFile.encodePNG(picture(of: maps))
        let digest = SHA256Digest()
        digest.update(bytes)
        let note = MapFile(maps, identity: identity, digest: digest.hexadecimal())
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys]
        try ImageFile.write(bytes, to: path + ".png")
        try ImageFile.write(Array(try encoder.encode(note)), to: path + ".json")
    }

    /// The maps that the note describes; nil where the PNG is not the one that was written.
    package func maps(path: String) -> PseudoMaps? {
        guard let data = FileManager.default.contents(atPath: path + ".png") else { return nil }
        let own = SHA256Digest()
        own.update(Array(data))
        guard own.hexadecimal() == digest,
            let image = try? ImageFile.decode(bytes: Array(data), name: path + ".png", limits: Self.limits)
        else { return nil }
        return Self.maps(in: image, count: uncertainty.count, side: side)
    }

    /// Where a mask's pair begins. // column, row
    private static func corner(_ mask: Int, side: Int) -> (x: Int, y: Int) {
        (mask / rows * 2 * side, mask % rows * side)
    }

    private static func picture(of maps: PseudoMaps) -> Image {
        let (side, count) = (maps.side, max(maps.count, 1))
        var image = Image(
            width: (count + rows - 1) / rows * 2 * side, height: min(count, rows) * side, channels: 1)
        for mask in 0..<maps.count {
            let corner = corner(mask, side: side)
            for row in 0..<side {
                let source = (mask * side + row) * side..<(mask * side + row + 1) * side
                let target = (corner.y + row) * image.width + corner.x
                image.pixels.replaceSubrange(target..<target + side, with: maps.probability[source])
                image.pixels.replaceSubrange(target + side..<target + 2 * side, with: maps.refined[source])
            }
        }
        return image
    }

    /// - Parameter image: As decoded, with three equal channels.
    private static func maps(in image: Image, count: Int, side: Int) -> PseudoMaps? {
        guard count == 0 || image.width == (count + rows - 1) / rows * 2 * side, image.height >= min(count, rows) * side
        else { return nil }
        var (probability, refined): ([UInt8], [UInt8]) = ([], [])
        for mask in 0..<count {
            let corner = corner(mask, side: side)
            for row in 0..<side {
                let start = (corner.y + row) * image.width + corner.x
                for column in 0..<side {
                    probability.append(image.pixels[(start + column) * image.channels])
                    refined.append(image.pixels[(start + side + column) * image.channels])
                }
            }
        }
        return PseudoMaps(side: side, probability: probability, refined: refined)
    }
}

/// Images with pseudo-masks and their maps, which are stored in files of the run.
struct MappedDataset: SegmentationDataset {
    let labelled: AutomaticDataset
    /// The folder of the maps.
    let folder: String
    /// The inputs of the maps besides image and pseudo-masks.
    let identity: String
    /// Whether the refined masks are the labels.
    let usesRefined: Bool

    var count: Int { labelled.count }
    func id(_ index: Int) -> String { labelled.id(index) }
    func image(_ index: Int) throws -> Image { try labelled.image(index) }
    func fingerprint(_ index: Int) -> String {
        labelled.fingerprint(index) + (stored(index).map { " " + $0.digest } ?? "")
    }

    /// The identity of an image's maps.
    func identity(_ index: Int) -> String {
        let labels = (try? FileDigest.sha256(of: labelled.path(index))) ?? ""
        return [identity, labelled.base.fingerprint(index), labels].joined(separator: " ")
    }

    /// The files of an image, without extension.
    func path(_ index: Int) -> String { folder + "/" + String(format: "%06d", index + 1) }

    /// What is on disk for an image.
    func state(_ index: Int) -> MapFile.State { MapFile.state(path: path(index), identity: identity(index)) }

    /// The note of an image's maps, if they are made.
    func stored(_ index: Int) -> MapFile? { MapFile(path: path(index), identity: identity(index)) }

    func sample(_ index: Int) throws -> Sample {
        var sample = try labelled.sample(index)
        guard let note = stored(index), note.uncertainty.count == sample.instanceCount else {
            throw gone(index, "is missing or of other masks")
        }
        guard let maps = note.maps(path: path(index)) else { throw gone(index, "is damaged") }
        let usable = note.usable(refined: usesRefined)
        sample.instances = sample.instances?.selecting(usable)
        sample.boxes = sample.boxes.map { boxes in usable.map { boxes[$0] } }
        sample.maps = maps.selecting(usable)
        return sample
    }

    func survey(_ index: Int) throws -> ImageSurvey {
        var survey = try labelled.survey(index)
        guard let note = stored(index) else { throw gone(index, "is missing or of other masks") }
        survey.instances = note.usable(refined: usesRefined).count
        return survey
    }

    private func gone(_ index: Int, _ what: String) -> DatasetError {
        DatasetError(
            .unreadableFile, at: path(index) + ".png", what,
            remedy:
                "remove it and \(String(format: "%06d", index + 1)).json, and repeat the same command, which makes both again"
        )
    }
}
