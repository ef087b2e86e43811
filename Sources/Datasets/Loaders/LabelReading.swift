import Imaging

/// Ways to read label files.
enum LabelReading {
    /// Every stored value but 0 is the number of an instance, in ascending order.
    ///
    /// - Parameter change: Corrects the values; receives the path of the image below the root.
    static func numbers(
        _ change: @escaping @Sendable (inout LabelImage, _ folder: AnnotatedFolder, _ image: String) -> Void = {
            _, _, _ in
        }
    ) -> LabelledImages.Reading {
        { folder, entry, size in
            guard let label = entry.labels.first else {
                return .init(masks: InstanceMasks(count: 0, width: size.width, height: size.height))
            }
            var labels = try folder.labels(label)
            try folder.check(label, size: (labels.width, labels.height), image: entry.image, size)
            change(&labels, folder, entry.image)
            let (masks, values) = try InstanceMasks.numbered(labels, of: folder.path(label))
            return .init(masks: masks, values: values)
        }
    }

    /// The foreground is one instance; none if it is empty.
    static func object(_ threshold: UInt8?) -> LabelledImages.Reading {
        { folder, entry, size in
            .init(masks: try folder.masks(entry, size, count: 1, threshold))
        }
    }

    /// Each piece of the foreground is an instance: pixels that touch at a side or a corner, in order of the first pixel.
    static func components(_ threshold: UInt8?) -> LabelledImages.Reading {
        { folder, entry, size in
            let label = entry.labels.first ?? entry.image
            let isForeground = try folder.foreground(label, threshold, image: entry.image, size)
            let masks = ConnectedComponents(isForeground, width: size.width, height: size.height).masks
            try masks.checkScatter(of: folder.path(label))
            return .init(masks: masks)
        }
    }

    /// The foreground of each file is an instance; files without any are left out.
    static func files(_ threshold: UInt8?) -> LabelledImages.Reading {
        { folder, entry, size in
            .init(masks: try folder.masks(entry, size, count: entry.labels.count, threshold))
        }
    }
}

extension AnnotatedFolder {
    /// Reads a label image. Throws `DatasetError` that names it.
    func labels(_ relative: String) throws -> LabelImage {
        try read(relative) { try LabelFile.decode($0) }
    }

    /// Whether each pixel of a label file belongs to an object, `[H, W]`.
    ///
    /// - Parameter threshold: The first channel must be above it; nil takes all stored values or palette indices but 0.
    /// - Throws: `DatasetError`, also if the file is not as large as its image.
    func foreground(
        _ label: String, _ threshold: UInt8?, image: String, _ size: (width: Int, height: Int)
    ) throws -> [Bool] {
        guard let threshold else {
            let labels = try labels(label)
            try check(label, size: (labels.width, labels.height), image: image, size)
            return labels.labels.map { $0 > 0 }
        }
        let mask = try read(label) { try ImageFile.decode($0) }
        try check(label, size: (mask.width, mask.height), image: image, size)
        return (0..<mask.width * mask.height).map { mask.pixels[$0 * mask.channels] > threshold }
    }

    /// The foregrounds of an entry's first `count` label files, without the empty ones.
    fileprivate func masks(
        _ entry: LabelledImages.Entry, _ size: (width: Int, height: Int), count: Int, _ threshold: UInt8?
    ) throws -> InstanceMasks {
        var masks = InstanceMasks(count: 0, width: size.width, height: size.height)
        for label in entry.labels.prefix(count) {
            let isForeground = try foreground(label, threshold, image: entry.image, size)
            if isForeground.contains(true) { masks.append(isForeground) }
            try masks.checkMemory(of: path(label))
        }
        return masks
    }

    /// Throws `DatasetError` if a label file is not as large as its image.
    func check(
        _ label: String, size: (width: Int, height: Int), image: String, _ expected: (width: Int, height: Int)
    ) throws(DatasetError) {
        guard size != expected else { return }
        let turn = size == (expected.height, expected.width) ? remedyForTurn(image) : nil
        throw DatasetError(
            .sizeMismatch, at: path(label),
            "is \(size.width)x\(size.height) but its image is \(expected.width)x\(expected.height)",
            remedy: turn ?? "make the label as large as \(path(image))")
    }
}
