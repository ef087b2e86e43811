import CFileSystem
import Glibc

/// The folder of a data set. Paths below it are resolved by the kernel, which refuses a step out of it, so that nothing
/// that is exchanged between a look and the opening can lead elsewhere.
package struct DatasetRoot: Sendable {
    /// A path that was not opened.
    enum Fault: Error {
        /// A system call failed with this number.
        case system(Int32)
        /// A link leads to this place outside the folder.
        case outside(String)
        /// The path was exchanged at every attempt.
        case exchanged
    }

    /// The folder without symbolic links in its path.
    let realPath: String
    /// Whether symbolic links may lead out of the folder.
    let followsSymlinks: Bool
    private let usesOpenat2 = Self.usesOpenat2

    /// Whether data sets opened in the current task try `openat2`; tests of the way for older kernels do not.
    @TaskLocal package static var usesOpenat2 = true

    init(realPath: String, followsSymlinks: Bool) {
        (self.realPath, self.followsSymlinks) = (realPath, followsSymlinks)
    }

    /// Attempts at a path that is exchanged for a link and back.
    private static let attempts = 16

    /// Opens a path below the folder. Links are followed as far as they stay below it, or anywhere if that is allowed.
    ///
    /// Flags for any file are added: a pipe does not wait, and no terminal takes over the process.
    func open(_ relative: String, _ flags: Int32) throws(Fault) -> Int32 {
        guard !relative.utf8.contains(0) else { throw .system(ENOENT) }
        let flags = flags | O_CLOEXEC | (flags & KEDGE_O_PATH == 0 ? O_NONBLOCK | O_NOCTTY : 0)
        let folder = Glibc.open(realPath, KEDGE_O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW)
        guard folder >= 0 else { throw .system(errno) }
        defer { close(folder) }
        let parts = relative.split(separator: "/").filter { $0 != "." }
        if followsSymlinks {
            let descriptor = openat(folder, parts.isEmpty ? "." : parts.joined(separator: "/"), flags)
            guard descriptor >= 0 else { throw .system(errno) }
            return descriptor
        }
        for _ in 0..<Self.attempts {
            switch descend(from: folder, parts, flags, rules: KEDGE_BENEATH) {
            case .success(let descriptor): return descriptor
            case .failure(.system(EAGAIN)): continue
            case .failure(.system(EXDEV)): break
            case .failure(let fault): throw fault
            }
            // The kernel also refuses an absolute link that leads back inside, so its target is looked up, and opened
            // without any link: if it was exchanged since, that fails.
            guard let target = DatasetFile.realPath(realPath + "/" + parts.joined(separator: "/")) else {
                throw .system(errno)
            }
            guard target == realPath || DatasetFile.isInside(target, realPath) else { throw .outside(target) }
            let inner = target.dropFirst(realPath.count).split(separator: "/")
            switch descend(from: folder, inner, flags, rules: KEDGE_BENEATH | KEDGE_NO_LINKS) {
            case .success(let descriptor): return descriptor
            case .failure(.system(let number)) where [EAGAIN, EXDEV, ELOOP, ENOENT, ENOTDIR].contains(number): continue
            case .failure(let fault): throw fault
            }
        }
        throw .exchanged
    }

    /// Facts of what lies at a path below the folder.
    func status(_ relative: String) throws(Fault) -> stat {
        let descriptor = try open(relative, KEDGE_O_PATH)
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw .system(errno) }
        return status
    }

    /// The names in a folder below this one, in no order.
    func names(in relative: String) throws(Fault) -> [String] {
        let descriptor = try open(relative, O_RDONLY | O_DIRECTORY)
        guard let stream = fdopendir(descriptor) else {
            let number = errno
            close(descriptor)
            throw .system(number)
        }
        defer { closedir(stream) }
        var names: [String] = []
        errno = 0
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != ".", name != ".." { names.append(name) }
            errno = 0
        }
        guard errno == 0 else { throw .system(errno) }
        return names
    }

    /// Opens a path by one system call, or step by step where it does not exist or a container bars it.
    private func descend(
        from folder: Int32, _ parts: [Substring], _ flags: Int32, rules: Int32
    ) -> Result<Int32, Fault> {
        if usesOpenat2 {
            let path = parts.isEmpty ? "." : parts.joined(separator: "/")
            let descriptor = kedge_open_beneath(folder, path, flags, rules)
            if descriptor >= 0 { return .success(descriptor) }
            guard errno == ENOSYS || errno == EPERM else { return .failure(.system(errno)) }
        }
        return walk(from: folder, parts, flags)
    }

    /// Opens a path one folder after the other, none of which may be a link. EXDEV if one is, or may be.
    private func walk(from folder: Int32, _ parts: [Substring], _ flags: Int32) -> Result<Int32, Fault> {
        guard !parts.contains("..") else { return .failure(.system(EXDEV)) }
        var current = folder
        defer { if current != folder { close(current) } }
        for (index, part) in (parts.isEmpty ? [Substring(".")] : parts).enumerated() {
            let isLast = index >= parts.count - 1
            let next = openat(
                current, String(part), (isLast ? flags : KEDGE_O_PATH | O_DIRECTORY | O_CLOEXEC) | O_NOFOLLOW)
            let number = errno
            if current != folder { close(current) }
            current = folder
            guard next >= 0 else {
                return .failure(.system(number == ELOOP || number == ENOTDIR ? EXDEV : number))
            }
            if isLast { return Self.refusingLink(next) }
            current = next
        }
        return .failure(.system(ENOENT))
    }

    /// With `O_PATH` a link itself is opened instead of refused.
    private static func refusingLink(_ descriptor: Int32) -> Result<Int32, Fault> {
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT != S_IFLNK else {
            close(descriptor)
            return .failure(.system(EXDEV))
        }
        return .success(descriptor)
    }
}
