import PlainText
import Testing

/// Text from outside that is printed, logged or put into a table.
@Suite struct PlainTextTests {
    @Test(arguments: [
        ("a\u{1b}[31mb", #"a\u{1b}[31mb"#), ("\u{1b}]0;title\u{7}", #"\u{1b}]0;title\u{7}"#),
        ("\u{9b}31m", #"\u{9b}31m"#), ("a\u{202e}b", #"a\u{202e}b"#), ("a\u{2066}b\u{2069}", #"a\u{2066}b\u{2069}"#),
        ("\u{200e}\u{200f}\u{61c}", #"\u{200e}\u{200f}\u{61c}"#), ("a\nb\tc\rd", #"a\nb\tc\rd"#),
        ("\u{7f}\u{85}", #"\u{7f}\u{85}"#), ("a\u{2028}b\u{2029}", #"a\u{2028}b\u{2029}"#), ("a\r\nb", #"a\r\nb"#),
        ("Zellen äöü 細胞 👩‍🔬 \u{a0}", "Zellen äöü 細胞 👩‍🔬 \u{a0}"),
    ]) func marksAreEscaped(text: String, shown: String) {
        #expect(text.onOneLine == shown)
        #expect(shown.onOneLine == shown)
    }

    @Test func printableTextKeepsItsLines() {
        #expect("a\u{1b}\nb\u{202e}\r\n".printable == "a\\u{1b}\nb\\u{202e}\\r\n")
    }

    @Test func jsonKeepsItsValues() {
        #expect("{\n \"a\u{9b}\": \"\u{202e}\u{7f}\"}".jsonWithoutMarks == "{\n \"a\\u009b\": \"\\u202e\\u007f\"}")
    }

    @Test(arguments: [
        ("a.png", "a.png"), ("=1+1", "'=1+1"), ("+a", "'+a"), ("-a", "'-a"), ("@a", "'@a"), ("\ta", "'\\ta"),
        ("\ra", "'\\ra"), ("'a", "'a"), ("'=a", "''=a"), ("a=1", "a=1"), ("a,b", "\"a,b\""), ("a\"b", "\"a\"\"b\""),
        ("=a,b", "\"'=a,b\""), ("a\nb", "a\\nb"), ("", ""), ("'", "'"),
    ]) func spreadsheetsComputeNoName(name: String, cell: String) {
        #expect(TableCell.text(of: name) == cell)
        let unquoted =
            cell.hasPrefix("\"") ? String(cell.dropFirst().dropLast()).replacing("\"\"", with: "\"") : cell
        #expect(TableCell.name(from: unquoted) == name.onOneLine)
    }
}
