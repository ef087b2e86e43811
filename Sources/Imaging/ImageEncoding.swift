import CImageCodecs

extension ImageFile {
    /// Encodes a grey or RGB image as PNG. Throws `ImagingError`.
    public static func encodePNG(_ image: Image) throws -> [UInt8] {
        try encodePNG(
            samples: image.pixels, width: image.width, height: image.height, channels: image.channels,
            bytesPerSample: 1)
    }

    /// Encodes a grey or RGB image as baseline JPEG, 4:2:0, with a quality of 1 to 100. Throws `ImagingError`.
    public static func encodeJPEG(_ image: Image, quality: Int = 90) throws -> [UInt8] {
        precondition((1...100).contains(quality), "JPEG quality is 1 to 100, not \(quality)")
        return try encode(
            samples: image.pixels, width: image.width, height: image.height, channels: image.channels,
            bytesPerSample: 1
        ) { kedge_jpeg_encode(&$0, Int32(quality), &$1, $2) }
    }

    /// Writes bytes to a temporary file and renames it, so that `path` holds the old or the complete new file.
    ///
    /// Throws `ImagingError` with code `diskFull` or `unwritable`.
    public static func write(_ bytes: [UInt8], to path: String) throws {
        try RegularFile.write(bytes, to: path)
    }

    /// Encodes samples of one byte, or of two with the high byte first, as PNG. Throws `ImagingError`.
    package static func encodePNG(
        samples: [UInt8], width: Int, height: Int, channels: Int, bytesPerSample: Int
    ) throws -> [UInt8] {
        try encode(
            samples: samples, width: width, height: height, channels: channels, bytesPerSample: bytesPerSample
        ) { kedge_png_encode(&$0, &$1, $2) }
    }

    private static func encode(
        samples: [UInt8], width: Int, height: Int, channels: Int, bytesPerSample: Int,
        with encode: (inout kedge_image, inout kedge_image_bytes, UnsafeMutablePointer<CChar>) -> Int32
    ) throws -> [UInt8] {
        let name = "image to encode"
        guard width > 0, height > 0 else {
            throw ImagingError(.unsupported, file: name, cause: "it has no pixels", remedy: "skip empty images")
        }
        var encoded = kedge_image_bytes()
        defer { kedge_image_free(encoded.bytes) }
        // The encoders only read the samples; C cannot express that for a pointer inside a struct.
        try samples.withUnsafeBufferPointer { samples in
            var image = kedge_image(
                width: UInt32(width), height: UInt32(height), channels: UInt32(channels),
                bytes_per_sample: UInt32(bytesPerSample), samples: UnsafeMutablePointer(mutating: samples.baseAddress))
            try runCodec(file: name, remedy: "use a smaller image") { encode(&image, &encoded, $0) }
        }
        return Array(UnsafeBufferPointer(start: encoded.bytes, count: encoded.count))
    }
}

extension Image {
    /// Writes the image as PNG, appearing under `path` only when complete. Throws `ImagingError`.
    public func writePNG(to path: String) throws {
        try ImageFile.write(ImageFile.encodePNG(self), to: path)
    }

    /// Writes the image as JPEG, appearing under `path` only when complete. Throws `ImagingError`.
    public func writeJPEG(to path: String, quality: Int = 90) throws {
        try ImageFile.write(ImageFile.encodeJPEG(self, quality: quality), to: path)
    }
}
