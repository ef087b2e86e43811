/// A section whose rows depend on a choice, for the reference and messages.
public protocol RecipeVariants: RecipeRows {
    /// The selected choice.
    var chosen: String { get }
    /// All choices, each with its rows and their defaults.
    var variants: [(name: String, rows: [RecipeRow], defaults: [RecipeValue])] { get }
}

extension RecipeRoot {
    /// A commented recipe with the values of this one; `recipes/reference.yaml` contains the defaults.
    public var referenceYAML: String {
        var text = """
            # Every key of a recipe with its default; leave out what you do not change.
            # Later wins: defaults, the recipe file, KEDGE_SET="key=value;key=value", --set key=value (keys with dots).
            # Written from the tables beside the settings types in Sources; a test keeps it equal to them.

            """
        for part in Self.schema.parts {
            let section = part.read(self, "")
            let depth = part.path.count { $0 == "." }
            let indent = String(repeating: "    ", count: depth)
            if part.names != nil {
                text += "\n\(indent)# \(part.doc)\n"
                text += "\(indent)# \(part.path.split(separator: ".").last ?? ""):\n\(indent)#     NAME:\n"
                text += "\(indent)#         \(section.rows.map(\.name).joined(separator: ", "))\n"
                continue
            }
            text += "\n\(indent)# \(part.doc)\n\(indent)\(part.path.split(separator: ".").last ?? ""):\n"
            for (index, row) in section.rows.enumerated() {
                text += Self.lines(row, section.value(row: index), indent: indent + "    ")
            }
            guard let variants = section as? any RecipeVariants else { continue }
            for variant in variants.variants where variant.name != variants.chosen && !variant.rows.isEmpty {
                text += "\n\(indent)    # With \(section.selector ?? "name"): \(variant.name)\n"
                for (row, value) in zip(variant.rows, variant.defaults) {
                    text += "\(indent)    #     \(row.name): \(value)  # \(row.rule.description)\n"
                }
            }
        }
        return text
    }

    private static func lines(_ row: RecipeRow, _ value: RecipeValue, indent: String) -> String {
        "\(indent)# \(row.doc).\n\(indent)\(row.name): \(value)  # \(row.rule.description)\n"
    }

    /// The tables as plain text for `--help`, one paragraph per key.
    public var helpText: String {
        func paragraph(_ key: String, _ row: RecipeRow, _ value: RecipeValue) -> String {
            "\(key)  (\(row.rule.description); default \(value))\n    \(row.doc)."
        }
        return Self.schema.parts.flatMap { part -> [String] in
            let section = part.read(self, "")
            let path = part.names == nil ? part.path : part.path + ".NAME"
            if part.names != nil {
                return ["\(path).KEY\n    \(part.doc) Keys: \(section.rows.map(\.name).joined(separator: ", "))."]
            }
            var paragraphs = section.rows.enumerated().map { index, row in
                paragraph("\(path).\(row.name)", row, section.value(row: index))
            }
            for variant in (section as? any RecipeVariants)?.variants ?? [] {
                guard variant.name != (section as? any RecipeVariants)?.chosen, !variant.rows.isEmpty else { continue }
                let names = variant.rows.map { "\(path).\($0.name)" }.joined(separator: ", ")
                paragraphs.append("with \(path).\(section.selector ?? "name")=\(variant.name)\n    \(names)")
            }
            return paragraphs
        }.joined(separator: "\n")
    }

    /// The known key nearest to an unknown one, by edit distance of the whole path or of its last component.
    package func nearestKey(to key: String) -> String {
        let last = key.split(separator: ".").last.map(String.init) ?? key
        let keys = entries.map(\.key)
        let distances = keys.map { known in
            min(editDistance(key, known.key), 1 + editDistance(last, known.row.name))
        }
        return zip(keys, distances).min { $0.1 < $1.1 }?.0.key ?? ""
    }
}

extension Resolved {
    /// The whole recipe as YAML that resolves to itself, with the source of each non-default value.
    public var resolvedYAML: String {
        var text = ""
        var open: [Substring] = []
        for entry in recipe.entries {
            let path = entry.key.section.split(separator: ".")
            let shared = zip(open, path).prefix { $0 == $1 }.count
            for depth in shared..<path.count {
                text += String(repeating: "    ", count: depth) + "\(path[depth]):\n"
            }
            open = path
            let source = sources[entry.key.key] ?? .defaults
            let note = source == .defaults ? "" : "  # " + source.description.filter { !$0.isNewline }
            let indent = String(repeating: "    ", count: path.count)
            text += "\(indent)\(entry.key.row.name): \(entry.value)\(note)\n"
        }
        return text
    }

    /// Every key with its value as YAML text, in the order of the reference.
    public var entries: [(key: String, value: String)] {
        recipe.entries.map { ($0.key.key, $0.value.description) }
    }
}

/// Levenshtein distance: the minimum number of insertions, deletions and substitutions that turn one text into the
/// other.
///
/// Only the first 64 bytes count, which limits the work on hostile input.
package func editDistance(_ first: String, _ second: String) -> Int {
    let target = Array(second.lowercased().utf8.prefix(64))
    var row = Array(0...target.count)
    for (i, byte) in first.lowercased().utf8.prefix(64).enumerated() {
        var diagonal = row[0]
        row[0] = i + 1
        for (j, other) in target.enumerated() {
            let substitution = diagonal + (byte == other ? 0 : 1)
            diagonal = row[j + 1]
            row[j + 1] = min(substitution, row[j] + 1, row[j + 1] + 1)
        }
    }
    return row[target.count]
}
