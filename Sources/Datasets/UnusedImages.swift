import Foundation

/// Image files in a data set's folder of images that the data set does not use.
public struct UnusedImages: Equatable, Sendable {
    /// The folder of images.
    public let folder: String
    /// Files in that folder by their endings, as in `tif`, in order.
    public private(set) var byEnding: [(ending: String, count: Int)] = []
    /// Files below that folder by its subfolders, in order.
    public private(set) var bySubfolder: [(name: String, count: Int)] = []

    /// The number of files.
    public var count: Int { byEnding.reduce(0) { $0 + $1.count } + bySubfolder.reduce(0) { $0 + $1.count } }

    /// Endings of image files, read or not.
    private static let endings: Set<String> = [
        "avif", "bmp", "czi", "dcm", "dng", "exr", "gif", "heic", "heif", "j2k", "jfif", "jp2", "jpe", "jpeg", "jpg",
        "lif", "nd2", "ndpi", "pbm", "pgm", "png", "pnm", "ppm", "svs", "tif", "tiff", "webp",
    ]
    private static let read: Set<String> = ["jpeg", "jpg", "png"]
    /// Maximum depth of subfolders that are entered.
    private static let deepest = 8

    /// Whether a name is that of an image file.
    package static func isImage(_ name: String) -> Bool { ending(name).map(endings.contains) ?? false }

    private static func ending(_ name: String) -> String? {
        name.lastIndex(of: ".").map { name[name.index(after: $0)...].lowercased() }
    }

    /// Finds the unused files of a folder.
    ///
    /// - Parameters:
    ///   - place: The folder of images, below the root.
    ///   - used: The names of its files that the data set uses.
    init(in place: String, of root: AnnotatedFolder, used: Set<String>) {
        folder = root.path(place)
        var endings: [String: Int] = [:]
        for name in (try? root.entries(of: place)) ?? [] where !used.contains(name) {
            if Self.isImage(name), let ending = Self.ending(name) {
                // An unused file of a kind that is read has the name of another image, which is a fault of its own.
                if !Self.read.contains(ending) { endings[ending, default: 0] += 1 }
            } else if let count = Self.images(below: folder + "/" + name, depth: 1), count > 0 {
                bySubfolder.append((name, count))
            }
        }
        byEnding = endings.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
    }

    /// The number of image files in a folder; nil if it is none. A link may lead back up and is not followed.
    private static func images(below path: String, depth: Int) -> Int? {
        let manager = FileManager.default
        var isFolder: ObjCBool = false
        guard depth <= deepest, manager.fileExists(atPath: path, isDirectory: &isFolder), isFolder.boolValue,
            (try? manager.destinationOfSymbolicLink(atPath: path)) == nil,
            let names = try? manager.contentsOfDirectory(atPath: path)
        else { return nil }
        return names.reduce(0) { sum, name in
            if name.hasPrefix(".") { return sum }
            return sum + (isImage(name) ? 1 : images(below: path + "/" + name, depth: depth + 1) ?? 0)
        }
    }

    /// The findings with their remedies, one line each.
    package var lines: [(count: Int, text: String)] {
        var lines: [(Int, String)] = []
        let here = byEnding.reduce(0) { $0 + $1.count }
        if here > 0 {
            let list = byEnding.map { "\($0.count) .\($0.ending)" }.joined(separator: ", ")
            lines.append(
                (
                    here,
                    "\(LabelSurvey.number(here, "image file")) in \(folder) not used: \(list); save them as PNG or JPEG"
                ))
        }
        let below = bySubfolder.reduce(0) { $0 + $1.count }
        if below > 0 {
            let most = 10
            var list = bySubfolder.prefix(most).map { "\($0.count) in \($0.name)" }.joined(separator: ", ")
            if bySubfolder.count > most { list += " and others" }
            lines.append(
                (
                    below,
                    "\(LabelSurvey.number(below, "image file")) in folders below \(folder) not used: \(list); move them "
                        + "into the folder itself, or name theirs with data.images"
                ))
        }
        return lines
    }

    public static func == (first: UnusedImages, second: UnusedImages) -> Bool {
        first.lines.map(\.text) == second.lines.map(\.text)
    }
}
