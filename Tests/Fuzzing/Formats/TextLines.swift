import Tensors

/// Text as lines, for formats in which indentation and order matter.
enum TextLines {
    static func change(_ bytes: inout [UInt8], _ source: inout MutationSource) {
        let end = UInt8(ascii: "\n")
        var lines = bytes.split(separator: end, omittingEmptySubsequences: false).map(Array.init)
        let place = source.generator.index(below: lines.count)
        switch source.generator.index(below: 6) {
        case 0, 1: source.rearrange(&lines)
        case 2: lines[place] = [UInt8](repeating: 0x20, count: source.generator.index(below: 9)) + lines[place]
        case 3: lines[place] = Array(lines[place].drop { $0 == 0x20 })
        case 4:
            let others = source.other().split(separator: end).map(Array.init)
            if !others.isEmpty { lines.insert(source.one(of: others), at: place) }
        default:
            if let colon = lines[place].firstIndex(of: UInt8(ascii: ":")) {
                lines[place].removeLast(lines[place].count - colon - 1)
                lines[place] += [0x20] + Array(source.one(of: values).utf8)
            }
        }
        bytes = Array(lines.joined(separator: [end]))
    }

    /// Values with a special meaning, or none.
    private static let values = [
        "none", "~", "null", "true", "[]", "[1, 2]", "[box, point, box]", "{}", "{a: {b: c}}", "\"\"", "'",
        "\"\\u0000\"", "1e400",
        "-0", "nan", ".inf", "0x10", "9223372036854775807", "9223372036854775808", "1_000", "|", ">", "&a", "*a",
        "!!int 3", "? x",
        "\"\\u0085\"", "\"a\\nb\"", "' # no comment'", "# comment", "5:1", "0:1", "box", "\"\\uFEFFx\"", "'it''s'",
        "- x", "%", "@",
    ]
}
