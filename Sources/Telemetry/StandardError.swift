import PlainText

/// Standard error, for any thread. A line that cannot be written there is lost, and so is one that its reader does not
/// take: neither must change how the process goes on or ends.
public enum StandardError {
    private static let file = AppendFile(descriptor: 2, name: "standard error")

    /// Writes a line, or several, with one system call.
    public static func write(_ text: String) { try? file.append(Array((text.printable + "\n").utf8)) }
}
