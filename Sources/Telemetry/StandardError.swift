import PlainText

/// Standard error. A line that cannot be written there is lost: it must not change how the process ends.
public enum StandardError {
    private static let file = AppendFile(descriptor: 2, name: "standard error")

    /// Writes a line, or several, with one system call.
    public static func write(_ text: String) { try? file.append(Array((text.printable + "\n").utf8)) }
}
