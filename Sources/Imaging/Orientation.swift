/// The mapping of a photograph's stored rows and columns to the upright picture (Exif 2.32, tag 0x0112).
public enum Orientation: Int, Sendable {
    /// Stored upright.
    case upright = 1
    /// Left and right are swapped.
    case mirrored = 2
    /// Stored upside down.
    case rotatedHalf = 3
    /// Top and bottom are swapped.
    case flipped = 4
    /// Rows and columns are swapped.
    case transposed = 5
    /// To be turned right by a quarter.
    case rotatedRight = 6
    /// Rows and columns are swapped, and both reversed.
    case transversed = 7
    /// To be turned left by a quarter.
    case rotatedLeft = 8

    /// Whether width and height are swapped.
    public var swapsSides: Bool { rawValue >= 5 }

    /// What turns the stored picture upright, for messages.
    public var name: String {
        switch self {
        case .upright: "no turn"
        case .mirrored, .flipped: "a mirroring"
        case .rotatedHalf: "a half turn"
        case .rotatedRight, .rotatedLeft: "a quarter turn"
        case .transposed, .transversed: "a quarter turn and a mirroring"
        }
    }

    /// Reads the orientation from the content of an APP1 segment; anything malformed or absent counts as upright.
    init(exifSegment segment: ArraySlice<UInt8>) {
        self = Orientation.find(in: segment) ?? .upright
    }

    /// Reads the orientation from the content of a PNG's eXIf chunk, with the same tolerance.
    init(tiff: ArraySlice<UInt8>) {
        self = Orientation.find(inTIFF: Array(tiff)) ?? .upright
    }

    private static func find(in segment: ArraySlice<UInt8>) -> Orientation? {
        guard segment.starts(with: [0x45, 0x78, 0x69, 0x66, 0x00, 0x00]) else { return nil }  // "Exif\0\0"
        return find(inTIFF: Array(segment.dropFirst(6)))
    }

    private static func find(inTIFF tiff: [UInt8]) -> Orientation? {
        let bigEndian = tiff.starts(with: [0x4D, 0x4D])
        guard bigEndian || tiff.starts(with: [0x49, 0x49]) else { return nil }

        func number(at offset: Int, bytes: Int) -> Int? {
            guard offset >= 0, offset + bytes <= tiff.count else { return nil }
            let digits = tiff[offset..<offset + bytes]
            return bigEndian
                ? digits.reduce(0) { $0 << 8 | Int($1) } : digits.reversed().reduce(0) { $0 << 8 | Int($1) }
        }

        guard number(at: 2, bytes: 2) == 42, let directory = number(at: 4, bytes: 4),
            let entries = number(at: directory, bytes: 2)
        else { return nil }
        for entry in 0..<entries {
            let offset = directory + 2 + 12 * entry
            guard let tag = number(at: offset, bytes: 2) else { return nil }
            guard tag == 0x0112 else { continue }
            guard number(at: offset + 2, bytes: 2) == 3, let value = number(at: offset + 8, bytes: 2) else {
                return nil
            }
            return Orientation(rawValue: value)
        }
        return nil
    }
}

extension Image {
    /// The upright picture of samples stored in the given orientation.
    func upright(from orientation: Orientation) -> Image {
        let image = orientation.swapsSides ? transposed() : self
        switch orientation {
        case .upright, .transposed: return image
        case .mirrored, .rotatedRight: return image.flipped(.horizontal)
        case .flipped, .rotatedLeft: return image.flipped(.vertical)
        case .rotatedHalf, .transversed: return image.flipped(.both)
        }
    }
}
