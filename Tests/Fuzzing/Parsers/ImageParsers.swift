import Datasets
import Imaging

extension FuzzedParser {
    /// Small limits, so that the memory of an input is bounded.
    private static let limits = ImageLimits(side: 4096, pixels: 1 << 16, workingBytes: 4 << 20, scans: 20)

    static let png = FuzzedParser(
        "png", memoryLimit: 8 << 20, words: pngWords,
        written: {
            let image = Image(width: 5, height: 3, channels: 3, pixels: (0..<45).map { UInt8(5 * $0) })
            return [
                try ImageFile.encodePNG(image), try ImageFile.encodePNG(Image(width: 9, height: 2, channels: 1)),
            ]
        }, change: PNGChunks.change, seal: PNGChunks.sealed
    ) { try decode($0) }

    static let jpeg = FuzzedParser(
        "jpeg", memoryLimit: 16 << 20,
        words: ["\u{0}\u{0}", "Exif\u{0}\u{0}II*\u{0}", "Exif\u{0}\u{0}MM\u{0}*", "JFIF\u{0}", "Adobe"],
        written: {
            let image = Image(
                width: 17, height: 9, channels: 3, pixels: (0..<459).map { UInt8(truncatingIfNeeded: 7 * $0) })
            return [
                try ImageFile.encodeJPEG(image, quality: 60),
                try ImageFile.encodeJPEG(Image(width: 8, height: 8, channels: 1), quality: 90),
            ]
        }, change: JPEGSegments.change
    ) { try decode($0) }

    private static let pngWords = [
        "IHDR", "PLTE", "IDAT", "IEND", "tRNS", "gAMA", "sBIT", "iCCP", "zTXt", "eXIf", "acTL",
    ]

    private static func decode(_ bytes: [UInt8]) throws -> Bool {
        guard let image = try attempt(ImagingError.self, { try ImageFile.decode(bytes: bytes, limits: limits) }) else {
            return false
        }
        try require(image.channels == 3 && image.width > 0 && image.height > 0, "\(image.width)x\(image.height)")
        try require(image.width * image.height <= limits.pixels, "more pixels than the limit")
        try require(image.pixels.count == image.width * image.height * 3, "\(image.pixels.count) samples")
        let upright = try ImageFile.decode(bytes: bytes, limits: limits, exif: .apply)
        try require(upright.pixels.count == image.pixels.count, "samples lost in turning")
        // The size stated in the header is the size of the picture.
        let file = Scratch.path + "image"
        try Scratch.write(bytes, to: file)
        let (stored, turned) = (try ImageFile.size(path: file), try ImageFile.size(path: file, exif: .apply))
        try require(stored == (image.width, image.height), "header \(stored), image \(image.width)x\(image.height)")
        try require(turned == (upright.width, upright.height), "upright header \(turned)")
        if bytes.count % 16 == 0 {
            let again = try ImageFile.decode(bytes: ImageFile.encodePNG(image), limits: limits)
            try require(again == image, "another image after encoding")
        }
        return true
    }

    static let labels = FuzzedParser(
        "labels", memoryLimit: 8 << 20, words: pngWords,
        written: {
            let small = LabelImage(width: 4, height: 3, labels: [0, 0, 1, 1, 0, 2, 2, 1, 9, 9, 0, 0])
            let wide = LabelImage(width: 3, height: 2, labels: [0, 256, 65_535, 1, 256, 0])
            return [try LabelFile.encodePNG(small), try LabelFile.encodePNG(wide)]
        }, change: PNGChunks.change, seal: PNGChunks.sealed
    ) { bytes in
        let decoded = try attempt(ImagingError.self) { try LabelFile.decode(bytes: bytes, limits: limits) }
        guard let labels = decoded else { return false }
        try require(labels.labels.count == labels.width * labels.height, "\(labels.labels.count) labels")
        let again = try LabelFile.decode(bytes: LabelFile.encodePNG(labels), limits: limits)
        try require(again == labels, "other labels after encoding")
        if labels.labels.count <= 1 << 16 {
            try check(InstanceMasks(labels: labels), of: labels)
        }
        return true
    }

    /// Masks cover every foreground pixel once, and lie inside their boxes.
    private static func check(_ masks: InstanceMasks, of labels: LabelImage) throws {
        let foreground = labels.labels.reduce(0) { $0 + ($1 == 0 ? 0 : 1) }
        var covered = 0
        for instance in 0..<min(masks.count, 32) {
            let pixels = masks.pixelCount(of: instance)
            guard let box = masks.box(of: instance), pixels > 0 else { throw FuzzFinding("an instance without pixels") }
            try require(
                box.x0 >= 0 && box.y0 >= 0 && box.x1 <= Double(labels.width) && box.y1 <= Double(labels.height),
                "a box outside the image")
            try require(Double(pixels) <= (box.x1 - box.x0) * (box.y1 - box.y0), "pixels outside the box")
            covered += pixels
        }
        try require(masks.count > 32 || covered == foreground, "\(covered) of \(foreground) pixels covered")
        try require(masks.flipped(.both).flipped(.both) == masks, "masks changed by being turned twice")
    }
}
