import CImageCodecs

/// PNG and JPEG files as images.
///
/// Decoded samples equal those of Pillow's `Image.open(path).convert("RGB")`, with two deliberate differences: 16-bit
/// samples are scaled by an `Intensity`, or truncated to their high 8 bits, instead of being clipped, and truncated or
/// damaged files are errors.
public enum ImageFile {
    /// What to do with the orientation a camera wrote into a file.
    public enum ExifOrientation: String, CaseIterable, Sendable {
        /// Keep rows and columns as stored, as Pillow does.
        case ignore
        /// Turn the picture upright, as OpenCV does.
        case apply
    }

    /// Decodes a file to RGB; the format is recognised by its content. Throws `ImagingError`.
    public static func decode(
        path: String, limits: ImageLimits = .standard, exif: ExifOrientation = .ignore, followingLinks: Bool = true,
        intensity: Intensity = .full
    ) throws -> Image {
        try decode(
            OpenedFile(path, followingLinks: followingLinks), limits: limits, exif: exif, intensity: intensity)
    }

    /// Decodes an open file as `decode(path:)` does. Throws `ImagingError`.
    package static func decode(
        _ file: OpenedFile, limits: ImageLimits = .standard, exif: ExifOrientation = .ignore,
        intensity: Intensity = .full
    ) throws -> Image {
        try decode(bytes: file.bytes(limits: limits), name: file.path, limits: limits, exif: exif, intensity: intensity)
    }

    /// Decodes an open file, and returns the orientation that it states if that is not upright. Throws `ImagingError`.
    package static func decodeWithOrientation(
        _ file: OpenedFile, limits: ImageLimits = .standard, exif: ExifOrientation, intensity: Intensity
    ) throws -> (image: Image, orientation: Orientation?) {
        let bytes = try file.bytes(limits: limits)
        let header = try checkedHeader(bytes, file: file.path, limits: limits)
        let image = try decode(bytes, header, file: file.path, limits: limits, intensity)
        let stated = header.orientation == .upright ? nil : header.orientation
        return (exif == .apply ? image.upright(from: header.orientation) : image, stated)
    }

    /// Decodes the bytes of a file to RGB; `name` replaces the path in errors. Throws `ImagingError`.
    public static func decode(
        bytes: [UInt8], name: String = "image in memory", limits: ImageLimits = .standard,
        exif: ExifOrientation = .ignore, intensity: Intensity = .full
    ) throws -> Image {
        let header = try checkedHeader(bytes, file: name, limits: limits)
        let image = try decode(bytes, header, file: name, limits: limits, intensity)
        return exif == .apply ? image.upright(from: header.orientation) : image
    }

    private static func decode(
        _ bytes: [UInt8], _ header: ImageHeader, file name: String, limits: ImageLimits, _ intensity: Intensity
    ) throws -> Image {
        header.format == .png && header.bits == 16
            ? try DeepImage(bytes, file: name, limits: limits).image(intensity)
            : try decodeRGB(bytes, header, file: name, limits: limits).scaled(by: intensity)
    }

    /// Decodes an image of up to 8 bits per sample.
    private static func decodeRGB(
        _ bytes: [UInt8], _ header: ImageHeader, file name: String, limits: ImageLimits
    ) throws -> Image {
        let (decoded, samples) = try decodeSamples(bytes, file: name, convertTo: "8-bit RGB") { input, image, message in
            var limits = kedge_image_limits(limits)
            return switch header.format {
            case .png: kedge_png_decode(input.baseAddress, input.count, &limits, KEDGE_PNG_RGB, &image, message)
            case .jpeg: kedge_jpeg_decode(input.baseAddress, input.count, &limits, &image, message)
            }
        }
        return Image(width: Int(decoded.width), height: Int(decoded.height), channels: 3, pixels: samples)
    }

    /// The size of the image in a file, read from its header alone. Throws `ImagingError`, also over the limits.
    public static func size(
        path: String, limits: ImageLimits = .standard, exif: ExifOrientation = .ignore, followingLinks: Bool = true
    ) throws -> (width: Int, height: Int) {
        let head = try ImageHead(path: path, limits: limits, exif: exif, followingLinks: followingLinks)
        return (head.width, head.height)
    }

    /// The size of the image in an open file as by `size(path:)`. Throws `ImagingError`.
    package static func size(
        _ file: OpenedFile, limits: ImageLimits = .standard, exif: ExifOrientation = .ignore
    ) throws -> (width: Int, height: Int) {
        let head = try ImageHead(file, limits: limits, exif: exif)
        return (head.width, head.height)
    }

    static func checkedHeader(_ bytes: [UInt8], file: String, limits: ImageLimits) throws -> ImageHeader {
        guard let header = try ImageHeader.parse(bytes, file: file, isWhole: true) else {
            throw ImageHeader.damaged(file, "the file ends inside the header")
        }
        try limits.check(width: header.width, height: header.height, file: file)
        return header
    }

    /// Runs one C decoder and copies its samples; `kind` is what an unsupported image should be converted to.
    static func decodeSamples(
        _ bytes: [UInt8], file: String, convertTo kind: String,
        with decode: (UnsafeBufferPointer<UInt8>, inout kedge_image, UnsafeMutablePointer<CChar>) -> Int32
    ) throws -> (image: kedge_image, samples: [UInt8]) {
        var image = kedge_image()
        defer { kedge_image_free(image.samples) }
        try runCodec(file: file, remedy: "replace the file", convertTo: kind) { message in
            bytes.withUnsafeBufferPointer { decode($0, &image, message) }
        }
        let count = Int(image.width) * Int(image.height) * Int(image.channels) * Int(image.bytes_per_sample)
        return (image, Array(UnsafeBufferPointer(start: image.samples, count: count)))
    }

    /// Converts the status and message of a C call to an error.
    static func runCodec(
        file: String, remedy: String, convertTo kind: String = "8-bit RGB",
        _ call: (UnsafeMutablePointer<CChar>) -> Int32
    ) throws {
        var status = KEDGE_IMAGE_OK
        let message = String(unsafeUninitializedCapacity: Int(KEDGE_IMAGE_MESSAGE_BYTES)) { buffer in
            buffer.withMemoryRebound(to: CChar.self) { characters in
                guard let base = characters.baseAddress else { return 0 }
                base.pointee = 0
                status = call(base)
                return characters.firstIndex(of: 0) ?? 0
            }
        }
        switch status {
        case KEDGE_IMAGE_OK: return
        case KEDGE_IMAGE_OVER_LIMIT:
            throw ImagingError(.overLimit, file: file, cause: message, remedy: "downscale the image or save it again")
        case KEDGE_IMAGE_UNSUPPORTED:
            throw ImagingError(
                .unsupported, file: file, cause: "this kind of image is not supported: \(message)",
                remedy: "convert it to \(kind)")
        case KEDGE_IMAGE_OUT_OF_MEMORY:
            throw ImagingError(.outOfMemory, file: file, cause: message, remedy: "use smaller or fewer images")
        default: throw ImagingError(.damaged, file: file, cause: "the image is damaged: \(message)", remedy: remedy)
        }
    }
}

extension kedge_image_limits {
    init(_ limits: ImageLimits) {
        self.init(
            max_side: UInt32(clamping: limits.side), max_pixels: UInt64(clamping: limits.pixels),
            max_memory: UInt64(clamping: limits.workingBytes), max_scans: UInt32(clamping: limits.scans))
    }
}
