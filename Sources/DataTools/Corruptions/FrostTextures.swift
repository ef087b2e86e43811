import Datasets
import Foundation
package import Imaging
import Tensors

/// The pictures of ice that the corruption `frost` overlays on an image.
///
/// The published package takes them from five photographs. They are not part of this project: `synthetic` generates
/// pictures of noise instead, with the photographs' distributions of values per channel and shares of variance per
/// scale. Users who have the photographs can pass their folder.
public struct FrostTextures: Sendable {
    package let textures: [Image]

    /// Five pictures generated from noise; always the same ones.
    public static let synthetic = FrostTextures(textures: FrostStatistics.photographs.map { $0.texture() })

    package init(textures: [Image]) { self.textures = textures }

    /// Reads every PNG and JPEG file of a folder, in the order of their names.
    ///
    /// Throws `DatasetError` if the folder cannot be listed, holds no image, or an image cannot be decoded.
    public init(folder: String) throws {
        let files = try ImageListing.imageFiles(in: folder)
        guard !files.isEmpty else {
            throw DatasetError(
                .emptyDataset, at: folder, "contains no PNG or JPEG file", remedy: "pass a folder of frost pictures")
        }
        textures = try files.map { file in
            do {
                return try ImageFile.decode(path: folder + "/" + file).rgb()
            } catch let error as ImagingError {
                throw DatasetError(.unreadableFile, at: error.file, error.cause, remedy: error.remedy)
            }
        }
    }

    /// A random part of a random texture, enlarged to 1.1 times the size that covers the given one.
    func randomCrop(width: Int, height: Int, _ generator: inout SeededGenerator) -> Image {
        let texture = textures[generator.index(below: textures.count)]
        return Self.crop(texture, width: width, height: height) { generator.index(below: $0) }
    }

    /// Writes the textures to a folder, created if necessary, as PNG files that `init(folder:)` reads in this order.
    ///
    /// Throws `DatasetError` if the folder cannot be created or a file cannot be written.
    public func write(to folder: String) throws {
        do {
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            for (name, texture) in zip(Self.fileNames(self), textures) {
                try texture.writePNG(to: folder + "/" + name)
            }
        } catch {
            let cause = (error as? ImagingError)?.cause ?? (error as NSError).localizedDescription
            throw DatasetError(.writeFailed, at: folder, cause, remedy: "check the path and its permissions")
        }
    }

    /// The names of the files that `write(to:)` writes.
    public static func fileNames(_ frost: FrostTextures) -> [String] {
        frost.textures.indices.map { "frost" + String(format: "%02d", $0 + 1) + ".png" }
    }

    /// Parts of every texture in even steps, `steps` down and as many across: the average of `randomCrop`.
    func evenCrops(width: Int, height: Int, steps: Int) -> [Image] {
        textures.flatMap { texture in
            (0..<steps * steps).map { place in
                var step = [place / steps, place % steps].makeIterator()
                return Self.crop(texture, width: width, height: height) { places in
                    (2 * (step.next() ?? 0) + 1) * places / (2 * steps)
                }
            }
        }
    }

    /// The part of an enlarged texture at the offsets that `choose` returns for their number, down, then across.
    private static func crop(_ texture: Image, width: Int, height: Int, _ choose: (Int) -> Int) -> Image {
        let cover = max(1, Double(width) / Double(texture.width), Double(height) / Double(texture.height)) * 1.1
        let newWidth = Int((Double(texture.width) * cover).rounded(.up))
        let newHeight = Int((Double(texture.height) * cover).rounded(.up))
        let top = choose(max(newHeight - height, 1))
        let left = choose(max(newWidth - width, 1))
        let columns = CubicPlaces(left..<left + width, from: texture.width, to: newWidth)
        let rows = CubicPlaces(top..<top + height, from: texture.height, to: newHeight)
        return texture.cubic(columns, rows)
    }
}

/// For a range of new positions of one axis, the four old positions each value is computed from, and their weights.
private struct CubicPlaces {
    let count: Int
    var places: [Int] = []  // [count, 4]
    var weights: [Double] = []  // [count, 4]

    /// Cubic convolution with a = -0.75, the kernel of OpenCV's bicubic interpolation.
    init(_ range: Range<Int>, from oldSize: Int, to newSize: Int) {
        let a = -0.75
        func far(_ d: Double) -> Double { ((a * d - 5 * a) * d + 8 * a) * d - 4 * a }
        func near(_ d: Double) -> Double { ((a + 2) * d - (a + 3)) * d * d + 1 }
        count = range.count
        for position in range {
            let centre = (Double(position) + 0.5) * Double(oldSize) / Double(newSize) - 0.5
            let t = centre - centre.rounded(.down)
            places += (-1...2).map { min(max(Int(centre.rounded(.down)) + $0, 0), oldSize - 1) }
            weights += [far(t + 1), near(t), near(1 - t), far(2 - t)]
        }
    }

    /// A weighted sum over the four old positions of a new one.
    func sum(_ position: Int, _ value: (Int) -> Double) -> Double {
        let first = 4 * position
        return weights[first] * value(places[first]) + weights[first + 1] * value(places[first + 1])
            + weights[first + 2] * value(places[first + 2]) + weights[first + 3] * value(places[first + 3])
    }
}

extension Image {
    /// Interpolates rows, then columns; values are rounded and clipped once.
    fileprivate func cubic(_ columns: CubicPlaces, _ rows: CubicPlaces) -> Image {
        let length = columns.count * 3
        let first = rows.places.reduce(height, min)
        let last = rows.places.reduce(0, max)
        var strips = [Double](repeating: 0, count: (last - first + 1) * length)  // old rows, new columns
        var result = Image(width: columns.count, height: rows.count, channels: 3)
        pixels.withUnsafeBufferPointer { pixels in
            strips.withUnsafeMutableBufferPointer { strips in
                for y in first...last {
                    for x in 0..<columns.count {
                        for channel in 0..<3 {
                            strips[(y - first) * length + 3 * x + channel] = columns.sum(x) {
                                Double(pixels[(y * width + $0) * 3 + channel])
                            }
                        }
                    }
                }
                result.pixels.withUnsafeMutableBufferPointer { output in
                    for y in 0..<rows.count {
                        for x in 0..<length {
                            let value = rows.sum(y) { strips[($0 - first) * length + x] }
                            output[y * length + x] = UInt8(min(max(value.rounded(), 0), 255))
                        }
                    }
                }
            }
        }
        return result
    }
}
