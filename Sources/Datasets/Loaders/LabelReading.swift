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
            var masks: [InstanceMasks] = []
            for label in entry.labels.prefix(1) {
                var labels = try folder.labels(label)
                try folder.check(label, size: (labels.width, labels.height), image: entry.image, size)
                change(&labels, folder, entry.image)
                try InstanceMasks.checkMemory(
                    count: InstanceMasks.distinctLabels(labels), width: size.width, height: size.height,
                    of: folder.path(label))
                masks.append(InstanceMasks(labels: labels))
            }
            return .init(masks: masks.first ?? InstanceMasks(count: 0, width: size.width, height: size.height))
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
            let components = ConnectedComponents(isForeground, width: size.width, height: size.height)
            try InstanceMasks.checkMemory(
                count: components.count, width: size.width, height: size.height, of: folder.path(label))
            return .init(masks: components.masks)
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
        try InstanceMasks.checkMemory(count: count, width: size.width, height: size.height, of: path(entry.image))
        var masks = InstanceMasks(count: count, width: size.width, height: size.height)
        var used: [Int] = []
        for (index, label) in entry.labels.prefix(count).enumerated() {
            let isForeground = try foreground(label, threshold, image: entry.image, size)
            if isForeground.contains(true) { used.append(index) }
            for (pixel, isSet) in isForeground.enumerated() where isSet {
                masks[index, x: pixel % size.width, y: pixel / size.width] = true
            }
        }
        return used.count == count ? masks : masks.selecting(used)
    }

    /// Throws `DatasetError` if a label file is not as large as its image.
    func check(
        _ label: String, size: (width: Int, height: Int), image: String, _ expected: (width: Int, height: Int)
    ) throws(DatasetError) {
        guard size != expected else { return }
        throw DatasetError(
            .sizeMismatch, at: path(label),
            "is \(size.width)x\(size.height) but its image is \(expected.width)x\(expected.height)",
            remedy: "make the label as large as \(path(image))")
    }
}
