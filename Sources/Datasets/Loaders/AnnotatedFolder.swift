import Glibc
package import Imaging

/// The folder of a data set whose annotations name its files.
package struct AnnotatedFolder: Sendable {
    /// The data set's folder.
    let root: String
    private var file: DatasetFile
    private let exif: ImageFile.ExifOrientation
    private let intensity: Intensity
    /// The files read so far, once a run asks to have them watched.
    let seenFiles = SeenFiles()

    /// Throws `DatasetError` if the folder is missing or the options name places outside it.
    package init(_ options: DatasetOptions, retry: ReadRetry = .current) throws(DatasetError) {
        let places = [
            ("data.images", options.imagesFolder), ("data.labels", options.labelsFolder),
            ("data.annotations", options.annotations),
        ]
        for (key, path) in places {
            guard let path, path != ".", let problem = RelativePath.problem(path) else { continue }
            throw DatasetError(
                .invalidOption, at: key, problem, remedy: "name a place below the data set's folder")
        }
        guard let realRoot = DatasetFile.realPath(options.root) else {
            throw DatasetError(
                .missingFolder, at: options.root, "cannot be opened", remedy: "check the path and its permissions")
        }
        (root, exif, intensity) = (options.root, options.exif, options.reading)
        file = DatasetFile(
            root: options.root, place: DatasetRoot(realPath: realRoot, followsSymlinks: options.followsSymlinks),
            retry: retry)
    }

    /// The same folder for a check, which reports unreadable files without retrying.
    func withoutRetries() -> AnnotatedFolder {
        var folder = self
        folder.file.retry = ReadRetry(delays: [])
        return folder
    }

    /// The path of a file below the root.
    func path(_ relative: String) -> String { root + "/" + relative }

    /// Decodes an image to RGB. Throws `DatasetError` that names it, and `ImagingError` if memory is short.
    package func image(_ relative: String) throws -> Image {
        try read(relative, isImage: true) { try ImageFile.decode($0, exif: exif, intensity: intensity).rgb() }
    }

    /// The image, and the orientation that its file states and that is not applied. Throws as `image(_:)` does.
    func picture(_ relative: String) throws -> (image: Image, orientation: Orientation?) {
        try read(relative, isImage: true) { file in
            let (image, stated) = try ImageFile.decodeWithOrientation(file, exif: exif, intensity: intensity)
            return (image.rgb(), exif == .apply ? nil : stated)
        }
    }

    /// How often each stored value of an image occurs. Throws as `image(_:)` does.
    func histogram(_ relative: String) throws -> SampleHistogram {
        try read(relative, isImage: true) { try ImageFile.histogram($0) }
    }

    /// The size of an image by its header.
    func size(_ relative: String) throws -> (width: Int, height: Int) {
        try read(relative, isImage: true) { try ImageFile.size($0, exif: exif) }
    }

    /// Size and orientation of an image by its header.
    func head(_ relative: String) throws -> ImageHead {
        try read(relative, isImage: true) { try ImageHead($0, exif: exif) }
    }

    /// The orientation in a header, if it is not applied.
    func unapplied(_ head: ImageHead) -> Orientation? { exif == .apply ? nil : head.orientation }

    /// The remedy for an image whose sides are swapped against its labels, by what its file states; nil if that does not
    /// explain it.
    func remedyForTurn(_ relative: String) -> String? {
        guard let orientation = (try? head(relative))?.orientation, orientation.swapsSides else { return nil }
        let other: ImageFile.ExifOrientation = exif == .apply ? .ignore : .apply
        return "the image file states \(orientation.name) (Exif orientation \(orientation.rawValue)), so "
            + "data.exif=\(other.rawValue) fits"
    }

    /// The size of a file in bytes, `-` if unknown.
    func byteCount(_ relative: String) -> String {
        guard let status = try? file.place.status(relative) else { return "-" }
        seenFiles.note(relative, status)
        return String(status.st_size)
    }

    /// Runs a decoder on a file below the root; annotations are untrusted, so it must not be a link out of it.
    ///
    /// Throws `DatasetError` of kind `changedFile` if a run has it watched and it is no longer what it was.
    func read<Result>(
        _ relative: String, isImage: Bool = false, _ decode: (OpenedFile) throws -> Result
    ) throws -> Result {
        try file.reading(relative) { opened in
            do {
                let result = try decode(opened)
                try seenFiles.examine(relative, opened, isImage: isImage)
                return result
            } catch let error as ImagingError where error.code != .unreadable && error.code != .outOfMemory {
                // A file that was replaced by a damaged one was replaced first of all.
                try seenFiles.examine(relative, opened, isImage: isImage)
                throw error
            }
        }
    }

    /// Opens an annotation file that was found in the folder.
    func annotationFile(_ relative: String) throws(AnnotationFault) -> AnnotationFile {
        do {
            return try read(relative) { try AnnotationFile($0) }
        } catch let fault as AnnotationFault {
            throw fault
        } catch {
            let found = (error as? DatasetError)?.problem ?? "\(error)"
            throw AnnotationFault(file: path(relative), .unreadable, found)
        }
    }

    /// The names of the visible files of a folder below the root with one of the extensions, in order.
    ///
    /// Throws `DatasetError`, also for a folder that is a link out of the root unless those are followed.
    func names(in folder: String, extensions: [String]) throws(DatasetError) -> [String] {
        try entries(of: folder).filter { name in
            let parts = name.split(separator: ".", omittingEmptySubsequences: false)
            return parts.count > 1 && extensions.contains(parts[parts.count - 1].lowercased())
        }
    }

    /// The names of the visible folders in a folder below the root, in order. Throws as `names(in:extensions:)` does.
    func folders(in folder: String) throws(DatasetError) -> [String] {
        try entries(of: folder).filter { isFolder(folder.isEmpty ? $0 : folder + "/" + $0) }
    }

    /// Whether there is a folder of that name below the root, or a link out of it, whose listing is then refused.
    func isFolder(_ relative: String) -> Bool {
        do throws(DatasetRoot.Fault) {
            return try file.place.status(relative).st_mode & S_IFMT == S_IFDIR
        } catch {
            guard case .outside(let target) = error else { return false }
            var status = stat()
            return stat(target, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
        }
    }

    /// Whether anything of that name exists below the root, or a link out of it, whose opening is then refused.
    func exists(_ relative: String) -> Bool {
        do throws(DatasetRoot.Fault) {
            _ = try file.place.status(relative)
            return true
        } catch {
            if case .system = error { return false }
            return true
        }
    }

    /// The visible entries of a folder below the root, in order. Throws as `names(in:extensions:)` does.
    func entries(of folder: String) throws(DatasetError) -> [String] {
        let path = folder.isEmpty ? root : path(folder)
        do throws(DatasetRoot.Fault) {
            return try file.place.names(in: folder).filter { !$0.hasPrefix(".") }.sorted {
                $0.unicodeScalars.lexicographicallyPrecedes($1.unicodeScalars)
            }
        } catch {
            switch error {
            case .outside(let target):
                throw DatasetError(
                    .outsideRoot, at: path, "leads to \(target), outside the data set",
                    remedy: "copy the folder there, or set data.followSymlinks=true")
            case .exchanged: throw DatasetFile.exchanged(path)
            case .system:
                throw DatasetError(
                    .missingFolder, at: path, "cannot be listed",
                    remedy: "check the path, the layout and its permissions")
            }
        }
    }
}
