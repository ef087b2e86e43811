import Datasets
import Foundation
public import Imaging
import Tensors

/// A seeded generator of images that resemble stained cells under a microscope, with instance labels.
///
/// Each image holds 8 to 30 irregular cells with granular bodies, dark membranes and nuclei, partly touching, on mottled
/// ground. A `DomainShift` then degrades the picture without moving an outline. Image k depends on (seed, k) and the
/// severity alone, and the cells of an image are the same at every severity.
public struct SyntheticCells: Sendable {
    /// Width and height of the images.
    public let side: Int
    /// The seed.
    public let seed: UInt64
    /// The degradation.
    public let shift: DomainShift

    /// Creates a generator.
    ///
    /// Throws `DatasetError` if the side is not 64...2048 or the severity not 0...5.
    public init(side: Int = 320, seed: UInt64, severity: Int) throws {
        guard (64...2048).contains(side) else {
            throw DatasetError(
                .invalidOption, at: "size", "\(side) pixels per side", remedy: "choose 64 to 2048, such as 320")
        }
        guard let shift = DomainShift(severity: severity) else {
            throw DatasetError(.invalidOption, at: "severity", "is \(severity)", remedy: "choose 0 to 5")
        }
        self.side = side
        self.seed = seed
        self.shift = shift
    }

    /// Draws image `index` and its labels.
    public func sample(_ index: Int) -> (image: Image, labels: LabelImage) {
        func generator(_ purpose: String) -> SeededGenerator {
            SeededGenerator(seed: seed, sample: index, purpose: "synthetic cells: " + purpose)
        }
        var places = generator("places")
        let placement = CellPlacement(side: side, using: &places)
        var stains = generator("stains")
        let rendering = CellRendering(side: side, using: &stains)
        var paint = generator("paint")
        let light = rendering.render(placement, stain: shift.stain, clutter: shift.clutter, using: &paint)
        var camera = generator("camera")
        let image = shift.apply(to: light, side: side, using: &camera)
        return (image, LabelImage(width: side, height: side, labels: placement.labels))
    }

    /// Writes a data set of the `folder` layout: `images/`, `labels/` and a `README.txt` that describes it.
    ///
    /// Files are named from cells-0000.png on and replace those of an earlier call. Throws `DatasetError`, also if the
    /// folder holds images or labels that no such call wrote.
    public static func write(to folder: String, count: Int, side: Int = 320, seed: UInt64, severity: Int) throws {
        guard count > 0 else {
            throw DatasetError(.invalidOption, at: "count", "\(count) images", remedy: "request at least one")
        }
        try refuseForeignFiles(in: folder)
        let cells = try SyntheticCells(side: side, seed: seed, severity: severity)
        do {
            // First, so that a call that was interrupted can be repeated.
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            try ImageFile.write(Array(cells.description(count: count).utf8), to: folder + "/README.txt")
            for name in ["images", "labels"] {
                try FileManager.default.createDirectory(
                    atPath: folder + "/" + name, withIntermediateDirectories: true)
            }
            for index in 0..<count {
                let digits = String(index)
                let name = "cells-" + String(repeating: "0", count: max(4 - digits.count, 0)) + digits + ".png"
                let (image, labels) = cells.sample(index)
                try image.writePNG(to: folder + "/images/" + name)
                try labels.writePNG(to: folder + "/labels/" + name)
            }
        } catch let error as ImagingError {
            throw DatasetError(.writeFailed, at: error.file, error.cause, remedy: error.remedy)
        } catch {
            throw DatasetError(
                .writeFailed, at: folder, "cannot create its folders: \(error.localizedDescription)",
                remedy: "check the path and its permissions")
        }
    }

    /// The first line of the folder's README.txt.
    private static let title = "Synthetic cells, made by kedge synthesize"

    /// Throws if `images/` or `labels/` hold files and the folder is not one of synthetic cells: they may be anyone's.
    private static func refuseForeignFiles(in folder: String) throws(DatasetError) {
        let files = FileManager.default
        let readme = files.contents(atPath: folder + "/README.txt").map { String(decoding: $0, as: UTF8.self) }
        if readme?.hasPrefix(title + "\n") == true { return }
        for name in ["images", "labels"] {
            let path = folder + "/" + name
            guard let found = try? files.contentsOfDirectory(atPath: path).sorted().first else { continue }
            throw DatasetError(
                .invalidOption, at: path, "holds files that kedge synthesize did not write, such as \(found)",
                remedy: "choose a new folder")
        }
    }

    private func description(count: Int) -> String {
        """
        \(Self.title)
        images: \(count), \(side) x \(side) pixels, RGB PNG, in images/
        labels: instance numbers as PNG in labels/, 0 is background
        seed: \(seed)
        severity: \(shift.severity) of 5

        Nothing here was photographed: cells are perturbed ellipses with a granular body, a membrane and a nucleus,
        drawn by light absorption. The severity makes the picture worse and leaves the outlines alone: weaker stain,
        unlabelled fibres, rings and specks, uneven light, blur, loss of colour, noise. The same seed gives the same
        cells at every severity.

        """
    }
}
