@preconcurrency import Glibc
import PlainText
import Synchronization
import Telemetry

/// Replaces Swift's `print` in this module: names in the text act on no terminal.
func print(_ text: String, terminator: String = "\n") {
    Swift.print(text.printable, terminator: terminator)
}

/// What became of the text that a command printed.
enum StandardOutput {
    /// The system's error of an earlier flush.
    private static let earlierError = Atomic<Int32>(0)

    /// Writes out what is buffered, for a reader that is waiting; a failure is found by `finish`.
    static func flush() {
        errno = 0
        if fflush(stdout) != 0 { earlierError.store(errno, ordering: .relaxed) }
    }

    /// Writes out what is buffered; reports a failure, which is the status of a command that has none yet.
    ///
    /// A reader that has left is no failure: it ends the process by SIGPIPE, or where that is ignored it has what it wanted.
    static func finish(_ code: ExitCode) -> ExitCode {
        errno = 0
        let isWritten = fflush(stdout) == 0 && ferror(stdout) == 0
        let reason = errno != 0 ? errno : earlierError.load(ordering: .relaxed)
        guard !isWritten, reason != EPIPE else { return code }
        Failure.report(
            "standard output cannot be written" + (reason == 0 ? "" : ": \(String(cString: strerror(reason)))")
                + "; free disk space or redirect it elsewhere")
        return code == .done ? .cannotWrite : code
    }
}
