import CImageCodecs

/// PNG files as label images.
public enum LabelFile {
    /// Decodes a grey PNG to its stored values, or a palette PNG to its indices, without scaling.
    ///
    /// Supports depths of 1, 2, 4, 8 and 16 bits; colours or alpha are `unsupported`. Throws `ImagingError`.
    public static func decode(
        path: String, limits: ImageLimits = .standard, followingLinks: Bool = true
    ) throws -> LabelImage {
        try decode(OpenedFile(path, followingLinks: followingLinks), limits: limits)
    }

    /// Decodes an open file as `decode(path:limits:)` does. Throws `ImagingError`.
    package static func decode(_ file: OpenedFile, limits: ImageLimits = .standard) throws -> LabelImage {
        try decode(bytes: file.bytes(limits: limits), name: file.path, limits: limits)
    }

    /// Decodes the bytes of a PNG file as `decode(path:limits:)` does; `name` replaces the path in errors.
    public static func decode(
        bytes: [UInt8], name: String = "label image in memory", limits: ImageLimits = .standard
    ) throws -> LabelImage {
        let header = try ImageFile.checkedHeader(bytes, file: name, limits: limits)
        guard header.format == .png else {
            throw ImagingError(
                .unsupported, file: name, cause: "a label image must be lossless and this is a JPEG",
                remedy: "save the labels as a grey or palette PNG")
        }
        let (image, samples) = try ImageFile.decodeSamples(bytes, file: name, convertTo: "a grey or palette PNG") {
            input, image, message in
            var limits = kedge_image_limits(limits)
            return kedge_png_decode(input.baseAddress, input.count, &limits, KEDGE_PNG_LABELS, &image, message)
        }
        let count = Int(image.width) * Int(image.height)
        let labels: [UInt16] =
            image.bytes_per_sample == 1
            ? samples.map(UInt16.init)
            : (0..<count).map { UInt16(samples[2 * $0]) << 8 | UInt16(samples[2 * $0 + 1]) }
        return LabelImage(width: Int(image.width), height: Int(image.height), labels: labels)
    }

    /// Encodes labels as a grey PNG: 8-bit when no label exceeds 255, else 16-bit. Throws `ImagingError`.
    public static func encodePNG(_ image: LabelImage) throws -> [UInt8] {
        if image.labels.allSatisfy({ $0 <= 255 }) {
            return try ImageFile.encodePNG(
                samples: image.labels.map { UInt8($0) }, width: image.width, height: image.height, channels: 1,
                bytesPerSample: 1)
        }
        return try ImageFile.encodePNG(
            samples: image.labels.flatMap { [UInt8($0 >> 8), UInt8($0 & 0xFF)] }, width: image.width,
            height: image.height, channels: 1, bytesPerSample: 2)
    }
}

extension LabelImage {
    /// Writes the labels as a grey PNG, appearing under `path` only when complete. Throws `ImagingError`.
    public func writePNG(to path: String) throws {
        try ImageFile.write(LabelFile.encodePNG(self), to: path)
    }
}
