import Tensors

/// A JPEG file parsed into marker segments; scan data belongs to the segment that begins it.
struct JPEGSegments {
    struct Segment {
        var marker: UInt8
        var content: [UInt8]
        /// The bytes between this segment and the next marker.
        var scan: [UInt8] = []
    }

    var segments: [Segment] = []

    init(_ bytes: [UInt8]) {
        var place = 2
        while place + 4 <= bytes.count, bytes[place] == 0xff, let length = bytes.big(2, at: place + 2),
            length >= 2, place + 2 + length <= bytes.count
        {
            var segment = Segment(marker: bytes[place + 1], content: Array(bytes[place + 4..<place + 2 + length]))
            place += 2 + length
            let start = place
            while place + 1 < bytes.count,
                bytes[place] != 0xff || bytes[place + 1] == 0 || (0xd0...0xd7).contains(bytes[place + 1])
            {
                place += 1
            }
            segment.scan = Array(bytes[start..<place])
            segments.append(segment)
        }
    }

    func build() -> [UInt8] {
        var file: [UInt8] = [0xff, 0xd8]
        for segment in segments {
            file += [0xff, segment.marker]
            file.appendBig(min(segment.content.count + 2, 65_535), 2)
            file += segment.content.prefix(65_533) + segment.scan
        }
        return file + [0xff, 0xd9]
    }

    /// One change: of a segment's content, of scan data, or of the segments.
    static func change(_ bytes: inout [UInt8], _ source: inout MutationSource) {
        var file = JPEGSegments(bytes)
        guard !file.segments.isEmpty else { return source.changeBytes(of: &bytes) }
        let place = source.generator.index(below: file.segments.count)
        switch source.generator.index(below: 6) {
        case 0, 1: source.changeBytes(of: &file.segments[place].content)
        case 2: source.changeBytes(of: &file.segments[place].scan)
        case 3: source.rearrange(&file.segments)
        case 4: file.changeFrame(&source)
        default:
            let other = JPEGSegments(source.other())
            if !other.segments.isEmpty { file.segments.insert(source.one(of: other.segments), at: place) }
        }
        bytes = file.build()
    }

    /// Kind of frame, precision, size, number of components, sampling factors.
    private mutating func changeFrame(_ source: inout MutationSource) {
        guard let place = segments.firstIndex(where: { (0xc0...0xcf).contains($0.marker) && $0.marker != 0xc4 }),
            segments[place].content.count >= 9
        else { return }
        switch source.generator.index(below: 5) {
        case 0: segments[place].marker = 0xc0 + source.one(of: [0, 1, 2, 3, 5, 9, 10])
        case 1: segments[place].content[0] = source.one(of: [8, 12, 2, 16])
        case 2: segments[place].content[source.one(of: [2, 4])] = UInt8(truncatingIfNeeded: source.number())
        case 3: segments[place].content[5] = source.one(of: [0, 1, 2, 3, 4, 255])
        default:
            let component = 6 + 3 * source.generator.index(below: (segments[place].content.count - 6) / 3)
            segments[place].content[component + 1] = source.one(of: [0x11, 0x12, 0x21, 0x22, 0x41, 0x44, 0x00, 0xff])
        }
    }
}
