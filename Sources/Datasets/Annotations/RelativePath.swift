/// Paths that annotations give: relative, and inside the data set's folder wherever they turn.
package enum RelativePath {
    /// The parts of `path` seen from `folder`, both below the root, without dots; nil if it leads out of the root.
    static func resolve(_ path: String, from folder: String = "") -> String? {
        guard !path.hasPrefix("/") else { return nil }
        var parts: [Substring] = []
        for part in folder.split(separator: "/") + path.split(separator: "/") {
            switch part {
            case ".": continue
            case "..":
                guard parts.popLast() != nil else { return nil }
            default: parts.append(part)
            }
        }
        return parts.joined(separator: "/")
    }

    /// The fault of a path; nil if it may be opened.
    static func problem(_ path: String, from folder: String = "") -> String? {
        guard !path.isEmpty else { return "an empty path" }
        guard !path.utf8.contains(0) else { return "a path with a zero byte" }
        guard path.utf8.count <= 4096 else { return "a path of \(path.utf8.count) bytes" }
        guard !path.hasPrefix("/") else { return "the path \(path.debugDescription) is absolute" }
        guard let resolved = resolve(path, from: folder) else {
            return "the path \(path.debugDescription) leads out of the data set"
        }
        return resolved.isEmpty ? "the path \(path.debugDescription) names no file" : nil
    }

    /// The path without its last extension.
    package static func withoutExtension(_ path: String) -> String {
        guard let dot = path.lastIndex(of: "."), !path[dot...].contains("/"), dot != path.startIndex else {
            return path
        }
        return String(path[..<dot])
    }
}
