import Glibc
import Imaging

/// Opens the files of a data set, and only those: a listed entry may be a link or a pipe, or no longer exist.
struct DatasetFile: Sendable {
    /// The data set's folder, as in messages.
    let root: String
    /// The same folder, below which paths are resolved.
    var place: DatasetRoot
    /// The treatment of errors that may be transient.
    var retry = ReadRetry.current

    /// Reads a file below the root with a decoder, which receives it opened.
    ///
    /// Throws `DatasetError` that names the file, and `ImagingError` of kind `outOfMemory`, no fault of the file.
    func reading<Result>(_ relative: String, _ decode: (OpenedFile) throws -> Result) throws -> Result {
        do {
            return try retry.run { try decode(opened(relative)) }
        } catch let error as ImagingError {
            guard error.code != .outOfMemory else { throw error }
            throw DatasetError(.unreadableFile, at: root + "/" + relative, error.cause, remedy: error.remedy)
        }
    }

    /// The path without symbolic links; nil if nothing exists there.
    static func realPath(_ path: String) -> String? {
        guard let resolved = realpath(path, nil) else { return nil }
        defer { free(resolved) }
        return String(cString: resolved)
    }

    /// True if a path without symbolic links lies below a folder without any.
    static func isInside(_ path: String, _ folder: String) -> Bool {
        path.hasPrefix(folder == "/" ? folder : folder + "/")
    }

    /// Opens a regular file below the root.
    private func opened(_ relative: String) throws -> OpenedFile {
        let path = root + "/" + relative
        // Looked at first, because opening a pipe or a device may have effects. What is read is what gets opened.
        var status = stat()
        guard lstat(path, &status) == 0 else {
            let number = errno
            // Listing names replaces the bytes that are no character, so the file cannot be found again.
            if number == ENOENT, relative.unicodeScalars.contains("\u{fffd}") {
                throw DatasetError(.unreadableFile, at: path, "has a name that is not UTF-8", remedy: "rename it")
            }
            throw Self.unexamined(path, number)
        }
        switch status.st_mode & S_IFMT {
        case S_IFREG, S_IFLNK: break
        case S_IFDIR: throw Self.wrongKind(path, "is a folder, not an image")
        case S_IFIFO: throw Self.wrongKind(path, "is a pipe, not an image")
        default: throw Self.wrongKind(path, "is not a regular file")
        }
        let descriptor: Int32
        do throws(DatasetRoot.Fault) {
            descriptor = try place.open(relative, O_RDONLY)
        } catch {
            switch error {
            case .system(let number):
                let isLink = status.st_mode & S_IFMT == S_IFLNK
                if isLink, [ENOENT, ENOTDIR, ELOOP].contains(number) { throw Self.wrongKind(path, "is a broken link") }
                throw ImagingError.cannotOpen(path, number)
            case .outside(let target):
                throw DatasetError(
                    .outsideRoot, at: path, "leads to \(target), outside the data set",
                    remedy: "copy the file there, or set data.followSymlinks=true")
            case .exchanged: throw Self.exchanged(path)
            }
        }
        return try OpenedFile(descriptor: descriptor, path: path)
    }

    /// The fault of a path that is another one at every look.
    static func exchanged(_ path: String) -> DatasetError {
        DatasetError(
            .outsideRoot, at: path, "is exchanged for a link again and again while it is opened",
            remedy: "end the program that changes the data set")
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

/// How often and after how long to retry a read when a network file system returns a possibly transient error.
package struct ReadRetry: Sendable {
    /// Seconds before each further try.
    package var delays: [Double]
    /// Waits for a number of seconds.
    package var wait: @Sendable (Double) -> Void

    /// Creates a rule.
    package init(
        delays: [Double],
        wait: @escaping @Sendable (Double) -> Void = { seconds in
            // The interval is short, and a signal may end it early: the next try is then earlier.
            usleep(UInt32(seconds * 1e6))
        }
    ) {
        (self.delays, self.wait) = (delays, wait)
    }

    /// Three more tries within 2.6 seconds.
    package static let standard = ReadRetry(delays: [0.1, 0.5, 2])

    /// The rule for data sets opened in the current task; a check of all files does not retry.
    @TaskLocal package static var current = standard

    /// Transient errors of file servers. A listed file that does not exist counts: NFS clients cache directories.
    private static let passing: Set<Int32> = [EIO, ESTALE, EINTR, EAGAIN, ETIMEDOUT, ENOENT]

    /// Repeats a read until it succeeds, fails permanently, or the tries are used up.
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
