/// The information in the first bytes of a PNG or JPEG: the format, the stored size and the Exif orientation.
struct ImageHeader: Equatable {
    enum Format { case png, jpeg }

    var format: Format
    var width: Int
    var height: Int
    var orientation = Orientation.upright
    /// Bits per stored sample; of a JPEG always 8, as no other depth is decoded.
    var bits = 8

    /// Recognises the format by its magic bytes, regardless of the file name.
    static func format(of bytes: [UInt8], file: String) throws -> Format {
        if bytes.starts(with: [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A]) { return .png }
        if bytes.starts(with: [0xFF, 0xD8, 0xFF]) { return .jpeg }
        let cause = bytes.isEmpty ? "the file is empty" : "the file is neither PNG nor JPEG by its first bytes"
        throw ImagingError(.notAnImage, file: file, cause: cause, remedy: "replace it or convert it to PNG or JPEG")
    }

    /// Parses the header of a file that starts with `bytes`; nil if the header extends beyond them.
    ///
    /// - Parameter isWhole: True if the bytes are the whole file.
    static func parse(_ bytes: [UInt8], file: String, isWhole: Bool = true) throws -> ImageHeader? {
        let header =
            switch try format(of: bytes, file: file) {
            case .png: try parsePNG(bytes, file: file, isWhole: isWhole)
            case .jpeg: try parseJPEG(bytes, file: file)
            }
        if let header, header.width == 0 || header.height == 0 {
            throw damaged(file, "the header says \(header.width) x \(header.height) pixels")
        }
        return header
    }

    static func damaged(_ file: String, _ cause: String) -> ImagingError {
        ImagingError(.damaged, file: file, cause: cause, remedy: "replace the file")
    }

    private static func parsePNG(_ bytes: [UInt8], file: String, isWhole: Bool) throws -> ImageHeader? {
        guard bytes.count >= 25 else { return nil }
        guard bytes[12..<16].elementsEqual("IHDR".utf8) else {
            throw damaged(file, "the PNG does not begin with an IHDR chunk")
        }
        func bigEndian(_ at: Int) -> Int { bytes[at..<at + 4].reduce(0) { $0 << 8 | Int($1) } }
        let (width, height) = (bigEndian(16), bigEndian(20))
        guard width <= Int32.max, height <= Int32.max else { throw damaged(file, "the PNG header is invalid") }
        var header = ImageHeader(format: .png, width: width, height: height, bits: Int(bytes[24]))
        // Chunks before the pixels; what is wrong with them is for the decoder to say.
        var position = 8
        while position + 8 <= bytes.count {
            let (length, type) = (bigEndian(position), bytes[position + 4..<position + 8])
            if type.elementsEqual("IDAT".utf8) || type.elementsEqual("IEND".utf8) { return header }
            let end = position + 12 + length
            if type.elementsEqual("eXIf".utf8), end <= bytes.count {
                header.orientation = Orientation(tiff: bytes[position + 8..<end - 4])
                return header
            }
            position = end
        }
        return isWhole ? header : nil
    }

    /// Walks the marker segments up to the first scan.
    private static func parseJPEG(_ bytes: [UInt8], file: String) throws -> ImageHeader? {
        var header = ImageHeader(format: .jpeg, width: 0, height: 0)
        var hasFrame = false
        var position = 2
        while true {
            // Segments may be preceded by fill bytes; decoders also skip stray bytes between segments.
            while position < bytes.count, bytes[position] != 0xFF { position += 1 }
            while position < bytes.count, bytes[position] == 0xFF { position += 1 }
            guard position < bytes.count else { return nil }
            let marker = bytes[position]
            position += 1
            switch marker {
            case 0x00, 0x01, 0xD0...0xD8:
                continue  // stuffed byte or marker without a segment
            case 0xD9, 0xDA:
                guard hasFrame else { throw damaged(file, "the JPEG has no frame header before its first scan") }
                return header
            default:
                break
            }
            guard position + 2 <= bytes.count else { return nil }
            let length = Int(bytes[position]) << 8 | Int(bytes[position + 1])
            guard length >= 2 else { throw damaged(file, "a JPEG segment has length \(length)") }
            guard position + length <= bytes.count else { return nil }
            let segment = bytes[position + 2..<position + length]
            switch marker {
            case 0xC0...0xC3, 0xC5...0xC7, 0xC9...0xCB, 0xCD...0xCF:
                guard segment.count >= 6 else { throw damaged(file, "the JPEG frame header is too short") }
                let start = segment.startIndex
                header.height = Int(segment[start + 1]) << 8 | Int(segment[start + 2])
                header.width = Int(segment[start + 3]) << 8 | Int(segment[start + 4])
                hasFrame = true
            case 0xE1 where header.orientation == .upright:
                header.orientation = Orientation(exifSegment: segment)
            default:
                break
            }
            position += length
        }
    }
}
