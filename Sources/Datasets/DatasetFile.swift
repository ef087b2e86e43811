import Glibc
import Imaging

/// Opens the files of a data set, and only those: what a folder lists may be a link, a pipe or gone by now.
struct DatasetFile: Sendable {
    /// The data set's folder without symbolic links in its path.
    let realRoot: String
    /// Whether symbolic links may lead out of the root.
    let followsSymlinks: Bool
    /// What is done about errors that may pass.
    var retry = ReadRetry.current

    /// Reads a file with a decoder, which is told the path to open; its last part is no link.
    ///
    /// Throws `DatasetError` that names the file, and `ImagingError` of kind `outOfMemory`, which is no fault of it.
    func reading<Result>(_ path: String, _ decode: (String) throws -> Result) throws -> Result {
        do {
            return try retry.run { try decode(resolve(path)) }
        } catch let error as ImagingError {
            guard error.code != .outOfMemory else { throw error }
            throw DatasetError(.unreadableFile, at: path, error.cause, remedy: error.remedy)
        }
    }

    /// The size of a file in bytes; nil if it cannot be told.
    static func byteCount(_ path: String) -> Int? {
        var status = stat()
        return stat(path, &status) == 0 ? Int(status.st_size) : nil
    }

    /// The path without symbolic links; nil if there is nothing there.
    static func realPath(_ path: String) -> String? {
        guard let resolved = realpath(path, nil) else { return nil }
        defer { free(resolved) }
        return String(cString: resolved)
    }

    /// True if a path without symbolic links lies below a folder without any.
    static func isInside(_ path: String, _ folder: String) -> Bool {
        path.hasPrefix(folder == "/" ? folder : folder + "/")
    }

    /// The path to open: what is no regular file is never opened.
    private func resolve(_ path: String) throws -> String {
        var status = stat()
        guard lstat(path, &status) == 0 else {
            throw Self.unexamined(path, errno)
        }
        switch status.st_mode & S_IFMT {
        case S_IFREG, S_IFLNK:
            // A folder on the way may be a link too.
            let isLink = status.st_mode & S_IFMT == S_IFLNK
            guard let target = Self.realPath(path) else {
                let number = errno
                if isLink { throw Self.wrongKind(path, "is a link that leads nowhere") }
                throw Self.unexamined(path, number)
            }
            guard followsSymlinks || Self.isInside(target, realRoot) else {
                throw DatasetError(
                    .outsideRoot, at: path, "leads to \(target), outside the data set",
                    remedy: "copy the file there, or set data.followSymlinks=true")
            }
            return isLink ? target : path
        case S_IFDIR: throw Self.wrongKind(path, "is a folder, not an image")
        case S_IFIFO: throw Self.wrongKind(path, "is a pipe, not an image")
        default: throw Self.wrongKind(path, "is no regular file")
        }
    }

    private static func unexamined(_ path: String, _ number: Int32) -> ImagingError {
        ImagingError(
            .unreadable, file: path, cause: "it cannot be examined (\(String(cString: strerror(number))))",
            remedy: "check the path and its permissions", systemError: number)
    }

    private static func wrongKind(_ path: String, _ problem: String) -> DatasetError {
        DatasetError(.unreadableFile, at: path, problem, remedy: "replace or remove it")
    }
}

/// How often and after how long a read is tried again when a network file system says what may pass.
package struct ReadRetry: Sendable {
    /// Seconds before each further try.
    package var delays: [Double]
    /// Waits so many seconds.
    package var wait: @Sendable (Double) -> Void

    /// Creates a rule.
    package init(
        delays: [Double],
        wait: @escaping @Sendable (Double) -> Void = { seconds in
            // The interval is short, and a signal may end it early: the next try comes the sooner.
            usleep(UInt32(seconds * 1e6))
        }
    ) {
        (self.delays, self.wait) = (delays, wait)
    }

    /// Three more tries within 2.6 seconds.
    package static let standard = ReadRetry(delays: [0.1, 0.5, 2])

    /// What data sets that are opened now do; a check of all files names what cannot be read at once.
    @TaskLocal package static var current = standard

    /// Errors that servers of files give for a while. A file that was listed and is not there counts: directories are
    /// cached on clients of NFS.
    private static let passing: Set<Int32> = [EIO, ESTALE, EINTR, EAGAIN, ETIMEDOUT, ENOENT]

    /// Runs a read until it succeeds, fails for good, or has been tried often enough.
    package func run<Result>(_ read: () throws -> Result) throws -> Result {
        for delay in delays {
            do {
                return try read()
            } catch let error as ImagingError {
                guard let number = error.systemError, Self.passing.contains(number) else { throw error }
                wait(delay)
            }
        }
        return try read()
    }
}
