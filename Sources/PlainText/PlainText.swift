// Names come from files, archives and arguments, and may hold anything: sequences that drive a terminal, marks that turn
// the direction of a line, line breaks, formulas. Whatever is printed or logged goes through here.

extension Unicode.Scalar {
    /// True for scalars that act on a terminal or on the order of a line instead of being shown.
    package var isMark: Bool {
        switch value {
        case 0..<0x20, 0x7f..<0xa0: true  // C0, DEL, C1
        case 0x061c, 0x200e, 0x200f, 0x202a...0x202e, 0x2066...0x2069: true  // direction
        case 0x2028, 0x2029: true  // line and paragraph separator
        default: false
        }
    }

    /// The scalar in a notation of its own, as in `\u{1b}` or `\n`.
    fileprivate var notation: String {
        switch self {
        case "\n": "\\n"
        case "\r": "\\r"
        case "\t": "\\t"
        default: "\\u{" + String(value, radix: 16) + "}"
        }
    }
}

extension String {
    /// The text with marks escaped, as in `\u{1b}` or `\n`: it fits a line and acts on no terminal.
    package var onOneLine: String { replacing { $0.isMark ? $0.notation : nil } }

    /// The text as by `onOneLine`, but with its line breaks: for text of several lines.
    package var printable: String { replacing { $0.isMark && $0 != "\n" ? $0.notation : nil } }

    /// JSON with the marks that it may hold as they are written as `\u009b`: the same values, and no terminal acts on
    /// them. Line breaks between values stay.
    package var jsonWithoutMarks: String {
        replacing { scalar in
            guard scalar.isMark, scalar.value >= 0x7f else { return nil }
            let digits = String(scalar.value, radix: 16)
            return "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
        }
    }

    private func replacing(_ replacement: (Unicode.Scalar) -> String?) -> String {
        guard unicodeScalars.contains(where: { replacement($0) != nil }) else { return self }
        var result = String.UnicodeScalarView()
        for scalar in unicodeScalars {
            if let text = replacement(scalar) {
                result.append(contentsOf: text.unicodeScalars)
            } else {
                result.append(scalar)
            }
        }
        return String(result)
    }
}

/// A cell of a table in CSV (RFC 4180).
package enum TableCell {
    /// The characters with which a spreadsheet begins a formula.
    private static let formulaStarts: Set<Unicode.Scalar> = ["=", "+", "-", "@", "\t", "\r"]

    /// A name as a cell: on one line, quoted where needed, and with an apostrophe before it where a spreadsheet would
    /// compute it. `name(from:)` is the way back.
    package static func text(of name: String) -> String {
        let guarded = (beginsFormula(name[...]) ? "'" + name : name).onOneLine
        guard guarded.contains(where: { $0 == "," || $0 == "\"" }) else { return guarded }
        return "\"" + guarded.replacing("\"", with: "\"\"") + "\""
    }

    /// The name in a cell without its quotes.
    package static func name(from cell: String) -> String {
        cell.hasPrefix("'") && beginsFormula(cell.dropFirst()) ? String(cell.dropFirst()) : cell
    }

    /// True for names that begin with such a character, or that a guard would make look as if they did.
    private static func beginsFormula(_ name: Substring) -> Bool {
        // Tab and carriage return are escaped by the time a cell is read.
        let rest = name.unicodeScalars.drop { $0 == "'" }
        guard let first = rest.first else { return false }
        return formulaStarts.contains(first) || ["\\t", "\\r"].contains { String(rest).hasPrefix($0) }
    }
}
