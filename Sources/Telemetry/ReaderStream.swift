import Foundation
import Glibc
import Synchronization

/// A pipe, terminal or socket, whose reader may stop reading: writing to it never waits for long.
///
/// A pipe takes 64 KiB, then a write waits until somebody reads: `less`, Ctrl-S and a blocked log collector would stop
/// the run. The first time the reader stops, it gets a second; after that, lines are refused at once until it has taken
/// a hundred again.
final class ReaderStream: Sendable {
    /// How the descriptor is kept from waiting.
    private enum Manner {
        /// A descriptor of our own of the same pipe or terminal; the flag of the given one would change it for others.
        case reopened
        /// A flag of each call.
        case socket
        /// The system is asked before each part, which then fits unless another process writes in between.
        case asked
    }

    private struct State {
        /// What is left of a line that was taken in part.
        var rest: ArraySlice<UInt8> = []
        var isStalled = false
        var linesSinceStall = 0
    }

    private static let patience = 1.0
    private static let linesUntilTrusted = 100

    private let descriptor: Int32
    private let manner: Manner
    private let state = Mutex(State())

    /// Takes over writing to a descriptor; nil if it is a file, which has no reader to wait for.
    init?(_ given: Int32) {
        var status = stat()
        guard fstat(given, &status) == 0 else { return nil }
        let kind = status.st_mode & S_IFMT
        if kind == S_IFSOCK {
            (descriptor, manner) = (given, .socket)
        } else if kind == S_IFIFO || isatty(given) == 1 {
            let own = open("/proc/self/fd/\(given)", O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY)
            // Refused for a pipe or terminal of another user.
            (descriptor, manner) = own >= 0 ? (own, .reopened) : (given, .asked)
        } else {
            return nil
        }
    }

    deinit { if manner == .reopened { close(descriptor) } }

    /// Writes a line; returns the system's error, `EAGAIN` if the reader does not take it.
    func append(_ bytes: [UInt8]) -> Int32? {
        state.withLock { state in
            let deadline = ContinuousClock.now + .seconds(state.isStalled ? 0 : Self.patience)
            var line = bytes[...]
            if let error = push(&state.rest, until: deadline) ?? push(&line, until: deadline) {
                (state.isStalled, state.linesSinceStall) = (error == EAGAIN, 0)
                guard error == EAGAIN, line.count < bytes.count else { return error }
                // The rest follows before the next line.
                state.rest = line
                return nil
            }
            state.linesSinceStall += 1
            if state.linesSinceStall >= Self.linesUntilTrusted { state.isStalled = false }
            return nil
        }
    }

    /// Writes bytes and removes what was written.
    private func push(_ bytes: inout ArraySlice<UInt8>, until deadline: ContinuousClock.Instant) -> Int32? {
        while !bytes.isEmpty {
            let count = bytes.withUnsafeBytes { write($0) }
            if count > 0 {
                bytes = bytes.dropFirst(count)
            } else if count == 0 || errno != EINTR {
                let error = count == 0 ? EIO : errno
                let left = (deadline - ContinuousClock.now) / .seconds(1)
                guard error == EAGAIN, left > 0, isWritable(within: left) else { return error }
            }
        }
        return nil
    }

    private func write(_ bytes: UnsafeRawBufferPointer) -> Int {
        switch manner {
        case .reopened: return Glibc.write(descriptor, bytes.baseAddress, bytes.count)
        case .socket:
            return send(descriptor, bytes.baseAddress, bytes.count, Int32(MSG_DONTWAIT) | Int32(MSG_NOSIGNAL))
        case .asked:
            guard isWritable(within: 0) else {
                errno = EAGAIN
                return -1
            }
            // A pipe that is writable has room for a page.
            return Glibc.write(descriptor, bytes.baseAddress, min(bytes.count, 4096))
        }
    }

    private func isWritable(within seconds: Double) -> Bool {
        var request = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
        return poll(&request, 1, Int32(seconds * 1000)) > 0
    }
}
