import Foundation
import Yams

/// Knows which dotted paths are sections, so that a file's tree can be flattened.
protocol RecipeSections {
    /// True if there are keys below a path.
    func isSection(_ path: String) -> Bool
    /// Whether a path is that of a section named by the user.
    func isNamed(_ path: String) -> Bool
}

/// The entries of a recipe file by dotted key, with their lines; hostile YAML is refused before it is expanded.
///
/// A recipe needs neither anchors nor aliases, so none are accepted: they turn a small file into a huge tree.
struct RecipeDocument {
    /// Maximum size of a recipe file in bytes.
    static let maximumBytes = 1 << 20
    /// Maximum nesting depth of mappings and lists.
    static let maximumDepth = 32
    /// Maximum number of words that begin with `*`. Composing the file hashes its keys with aliases expanded, before
    /// anchors can be detected; this many aliases expand a file by at most a few hundred times.
    static let maximumStars = 16

    /// One key of the file.
    struct Line {
        let key: String
        let entry: RecipeEntry
        let line: Int
    }

    /// The scalar and list entries in the order of the file.
    private(set) var lines: [Line] = []
    /// Faults of structure, such as a section without keys below it.
    private(set) var faults: [RecipeFault] = []
    /// Name of the file in messages.
    let name: String

    /// Reads a recipe file.
    ///
    /// - Throws: ``RecipeError`` if it is not a readable regular file or not an acceptable YAML mapping.
    init(contentsOf path: String, sections: some RecipeSections) throws(RecipeError) {
        let attributes = try? FileManager.default.attributesOfItem(
            atPath: URL(fileURLWithPath: path).resolvingSymlinksInPath().path)
        guard let attributes, attributes[.type] as? FileAttributeType == .typeRegular,
            let handle = FileHandle(forReadingAtPath: path)
        else {
            throw RecipeError(
                RecipeFault(rule: "is not a readable file; pass the path of a recipe", place: path), isFileMissing: true
            )
        }
        let data: Data?
        do { data = try handle.read(upToCount: Self.maximumBytes + 1) } catch {
            throw RecipeError(RecipeFault(rule: "cannot be read: \(error)", place: path), isFileMissing: true)
        }
        guard let text = String(bytes: data ?? Data(), encoding: .utf8) else {
            throw RecipeError(RecipeFault(rule: "is not UTF-8 text", place: path))
        }
        try self.init(yaml: text, name: path, sections: sections)
    }

    /// Reads recipe text.
    ///
    /// - Throws: ``RecipeError`` if the text is not an acceptable YAML mapping.
    init(yaml: String, name: String, sections: some RecipeSections) throws(RecipeError) {
        self.name = name
        guard yaml.utf8.count <= Self.maximumBytes else {
            throw RecipeError(
                RecipeFault(rule: "exceeds the maximum size of a recipe, \(Self.maximumBytes) bytes", place: name))
        }
        guard Self.countStars(yaml) <= Self.maximumStars else {
            throw RecipeError(RecipeFault(rule: "uses YAML aliases; write out the values", place: name))
        }
        let root: Node?
        do {
            // Nodes hold their anchors weakly; the parser owns them, so it must outlive the search for them.
            let parser = try Parser(yaml: yaml, resolver: .basic)
            root = try parser.singleRoot()
            let fault = withExtendedLifetime(parser) { root.flatMap { Self.structuralFault($0, depth: 1, name: name) } }
            if let fault { throw RecipeError(fault) }
        } catch let error as RecipeError {
            throw error
        } catch {
            throw RecipeError(Self.fault(of: error, name: name))
        }
        guard let root else { return }
        switch root {
        case .mapping(let mapping): collect(mapping, prefix: "", sections)
        case .scalar(let scalar) where scalar.string.isEmpty: break
        default:
            throw RecipeError(
                RecipeFault(rule: "is not a mapping of sections; see recipes/reference.yaml", place: name))
        }
    }

    /// The number of words that could be aliases: a star followed by something.
    private static func countStars(_ yaml: String) -> Int {
        var count = 0
        var previousIsStar = false
        for byte in yaml.utf8 {
            if previousIsStar && byte > 0x20 { count += 1 }
            previousIsStar = byte == UInt8(ascii: "*")
        }
        return count
    }

    /// The first anchor or the first node that is too deep; stops there, so nothing is visited twice.
    private static func structuralFault(_ node: Node, depth: Int, name: String) -> RecipeFault? {
        let place = "\(name):\(node.mark?.line ?? 1)"
        if depth > maximumDepth { return RecipeFault(rule: "nests deeper than \(maximumDepth) levels", place: place) }
        if node.anchor != nil {
            return RecipeFault(rule: "uses a YAML anchor; write out the values", place: place)
        }
        switch node {
        case .mapping(let mapping):
            for (key, value) in mapping {
                if let fault = structuralFault(key, depth: depth + 1, name: name) { return fault }
                if let fault = structuralFault(value, depth: depth + 1, name: name) { return fault }
            }
        case .sequence(let sequence):
            for element in sequence {
                if let fault = structuralFault(element, depth: depth + 1, name: name) { return fault }
            }
        case .scalar, .alias: break
        }
        return nil
    }

    /// Flattens the tree into dotted keys; a list stays a single entry.
    private mutating func collect(_ mapping: Node.Mapping, prefix: String, _ sections: some RecipeSections) {
        for (keyNode, value) in mapping {
            let line = keyNode.mark?.line ?? 1
            guard case .scalar(let key) = keyNode else {
                faults.append(RecipeFault(rule: "a key must be a plain word", place: "\(name):\(line)"))
                continue
            }
            if key.string.contains(".") {
                faults.append(
                    RecipeFault(
                        key: prefix + key.string, rule: "contains dots; nest the keys in a file",
                        place: "\(name):\(line)"))
                continue
            }
            let path = prefix + key.string
            let isSection = sections.isSection(path)
            if sections.isNamed(path), value.mapping?.isEmpty ?? (value.scalar?.string.isEmpty == true) {
                faults.append(
                    RecipeFault(
                        key: path, rule: "has no keys; write them below it, indented, or remove it",
                        place: "\(name):\(line)"))
                continue
            }
            switch value {
            case .mapping(let inner) where isSection: collect(inner, prefix: path + ".", sections)
            case .scalar(let scalar) where isSection && scalar.string.isEmpty: break
            case _ where isSection:
                faults.append(
                    RecipeFault(
                        key: path, rule: "is a section; write its keys below it, indented", place: "\(name):\(line)"))
            default: lines.append(Line(key: path, entry: Self.entry(value), line: line))
            }
        }
    }

    private static func entry(_ node: Node) -> RecipeEntry {
        switch node {
        case .scalar(let scalar):
            return .scalar(scalar.string, isQuoted: scalar.style != .any && scalar.style != .plain)
        case .sequence(let sequence):
            let texts = sequence.compactMap { $0.scalar?.string }
            return texts.count == sequence.count ? .list(texts) : .mapping
        case .mapping, .alias: return .mapping
        }
    }

    /// The YAML library's error, in one line.
    private static func fault(of error: any Error, name: String) -> RecipeFault {
        switch error as? YamlError {
        case .scanner(_, let problem, let mark, _), .parser(_, let problem, let mark, _),
            .composer(_, let problem, let mark, _):
            RecipeFault(rule: "not valid YAML: \(problem)", place: "\(name):\(mark.line)")
        case .duplicatedKeysInMapping(let duplicates, let context):
            RecipeFault(
                key: duplicates.joined(separator: ", "), rule: "occurs more than once; keep one",
                place: "\(name):\(context.mark.line)")
        case .reader(let problem, _, _, _): RecipeFault(rule: "not valid YAML: \(problem)", place: name)
        default: RecipeFault(rule: "not valid YAML", place: name)
        }
    }
}
