/// What the header of an image file states.
public struct ImageHead: Equatable, Sendable {
    /// Pixels per row of the image as it is decoded.
    public let width: Int
    /// Rows of the image as it is decoded.
    public let height: Int
    /// The orientation stated in the file, if it is not the upright one.
    public let orientation: Orientation?

    /// Reads the header of a file alone. Throws `ImagingError`, also over the limits.
    ///
    /// - Parameter exif: Whether the size is that of the upright picture or of the stored one.
    public init(
        path: String, limits: ImageLimits = .standard, exif: ImageFile.ExifOrientation = .ignore,
        followingLinks: Bool = true
    ) throws {
        try self.init(OpenedFile(path, followingLinks: followingLinks), limits: limits, exif: exif)
    }

    /// Reads the header of an open file. Throws `ImagingError`, also over the limits.
    package init(
        _ file: OpenedFile, limits: ImageLimits = .standard, exif: ImageFile.ExifOrientation = .ignore
    ) throws {
        func header(atMost count: Int) throws -> ImageHeader? {
            let bytes = try file.bytes(limits: limits, atMost: count)
            return try ImageHeader.parse(bytes, file: file.path, isWhole: bytes.count < count)
        }
        // Nearly every header is in the first 64 KiB; a photograph with a large preview needs the whole file.
        guard let header = try header(atMost: 1 << 16) ?? header(atMost: .max) else {
            throw ImageHeader.damaged(file.path, "the file ends inside the header")
        }
        try limits.check(width: header.width, height: header.height, file: file.path)
        let isTurned = exif == .apply && header.orientation.swapsSides
        (width, height) = isTurned ? (header.height, header.width) : (header.width, header.height)
        orientation = header.orientation == .upright ? nil : header.orientation
    }
}
