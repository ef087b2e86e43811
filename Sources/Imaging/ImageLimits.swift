/// The sizes beyond which a file is rejected before memory is allocated for it.
public struct ImageLimits: Equatable, Sendable {
    /// The longest allowed side, in pixels.
    public var side: Int
    /// The largest allowed width x height, in pixels.
    public var pixels: Int
    /// The largest allowed file, in bytes.
    public var fileBytes: Int
    /// The working memory a JPEG decoder may use besides the samples, in bytes.
    public var workingBytes: Int
    /// The largest allowed number of scans of a progressive JPEG.
    public var scans: Int

    /// Creates limits; each default suits photographs and micrographs of up to 64 megapixels.
    public init(
        side: Int = 16384, pixels: Int = 64 << 20, fileBytes: Int = 256 << 20, workingBytes: Int = 512 << 20,
        scans: Int = 100
    ) {
        self.side = side
        self.pixels = pixels
        self.fileBytes = fileBytes
        self.workingBytes = workingBytes
        self.scans = scans
    }

    /// The default limits.
    public static let standard = ImageLimits()

    /// Throws `overLimit` when an image of the given size exceeds a limit.
    func check(width: Int, height: Int, file: String) throws {
        if width > side || height > side {
            throw ImagingError(
                .overLimit, file: file, cause: "\(width) x \(height) pixels exceed the limit of \(side) per side",
                remedy: "downscale or tile the image")
        }
        if width * height > pixels {
            throw ImagingError(
                .overLimit, file: file,
                cause: "\(width) x \(height) pixels exceed the limit of \(pixels) pixels in all",
                remedy: "downscale or tile the image")
        }
    }
}
