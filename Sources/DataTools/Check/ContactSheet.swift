public import Datasets
import Imaging
import Tensors

/// A picture of evenly spaced images of a data set, with their labels and prompts.
///
/// Instances are overlaid in individual colours. For a few instances, drawn as training draws them, the prompts are
/// shown: the box in the instance's colour, points on it green, points off it red.
public struct ContactSheet: Sendable {
    /// The longest side of an image on the sheet.
    private static let side = 288
    /// Rows below an image: two lines of text.
    private static let captionHeight = 24
    private static let gap = 8
    /// The side of the frame in which points are drawn: SAM's.
    private static let modelSide = 1024

    private let places: Int
    private let prompts: PromptOptions
    private let seed: UInt64
    private var tiles: [Image] = []

    /// Creates an empty sheet.
    ///
    /// - Parameters:
    ///   - places: Maximum number of images.
    ///   - prompts: How points are drawn if the data set has none.
    ///   - promptedInstances: Maximum instances of each image whose prompts are shown.
    ///   - seed: The seed of points and of the choice of instances.
    public init(places: Int = 25, prompts: PromptOptions, promptedInstances: Int = 6, seed: UInt64) {
        precondition(places > 0, "a sheet without places")
        (self.places, self.seed) = (places, seed)
        var prompts = prompts
        prompts.maximumInstances = min(promptedInstances, prompts.maximumInstances)
        self.prompts = prompts
    }

    /// True if image `number` of `count` is shown: evenly spaced, including the first.
    private func shows(_ number: Int, of count: Int) -> Bool {
        guard count > places else { return true }
        // The first image of each of `places` equal parts.
        return number == 0 || number * places / count != (number - 1) * places / count
    }

    /// Draws a sample if it is one of those shown.
    mutating func add(_ sample: Sample, number: Int, of count: Int) {
        guard shows(number, of: count) else { return }
        let (width, height) = (sample.image.width, sample.image.height)
        let size = Resize.longestSideSize(width: width, height: height, target: Self.side)
        let tile = (width: max(size.width, 1), height: max(size.height, 1))
        var picture = Resize.bilinear(sample.image, width: tile.width, height: tile.height)
        if let masks = sample.instances {
            picture.overlay(Resize.nearest(masks.labels, width: tile.width, height: tile.height), opacity: 0.3)
        }
        let scale = (x: Double(tile.width) / Double(width), y: Double(tile.height) / Double(height))
        var generator = SeededGenerator(seed: seed, purpose: "contact sheet: " + sample.id)
        for instance in PromptSampling.capped(
            Array(0..<sample.instanceCount), maximum: prompts.maximumInstances, generator: &generator)
        {
            if let box = sample.boxes?[instance] ?? sample.instances?.box(of: instance) {
                picture.drawBox(
                    left: Self.pixel(box.x0 * scale.x), top: Self.pixel(box.y0 * scale.y),
                    right: Self.pixel(box.x1 * scale.x) - 1, bottom: Self.pixel(box.y1 * scale.y) - 1,
                    colour: .instance(instance + 1), thickness: 1)
            }
            for point in points(sample, instance, &generator) {
                picture.drawPoint(
                    x: Self.pixel(point.x * scale.x), y: Self.pixel(point.y * scale.y),
                    isForeground: point.isForeground, radius: 1)
            }
        }
        let instances = "\(sample.instanceCount) instance" + (sample.instanceCount == 1 ? "" : "s")
        place(picture, [sample.id, "\(width)x\(height), \(instances)"])
    }

    /// Draws a placeholder for an image that cannot be read.
    mutating func addUnreadable(_ id: String, number: Int, of count: Int) {
        guard shows(number, of: count) else { return }
        var picture = Image(filledWith: Colour(225, 225, 225), width: Self.side, height: Self.side * 3 / 4)
        let text = "cannot be read"
        let size = Image.textSize(text)
        picture.drawText(
            text, x: (picture.width - size.width) / 2, y: (picture.height - size.height) / 2, colour: .background)
        place(picture, [id])
    }

    /// The points of an instance: those of the data set, or drawn in the model frame as for training.
    private func points(_ sample: Sample, _ instance: Int, _ generator: inout SeededGenerator) -> [LabelledPoint] {
        if let points = sample.points { return points[instance] }
        guard let masks = sample.instances else { return [] }
        let frame = ModelFrame(
            side: Self.modelSide, originalWidth: masks.width, originalHeight: masks.height, isCentred: false)
        let drawn = PromptSampling.draw(
            from: masks.selecting([instance]).resized(to: frame), instance: 0, options: prompts, generator: &generator)
        return drawn.map { point in
            LabelledPoint(x: point.x / frame.scaleX, y: point.y / frame.scaleY, isForeground: point.isForeground)
        }
    }

    private static func pixel(_ position: Double) -> Int { Int(max(min(position, 1e6), -1e6).rounded(.down)) }

    private mutating func place(_ picture: Image, _ captions: [String]) {
        var tile = Image(filledWith: .white, width: Self.side, height: Self.side + Self.captionHeight)
        tile.paste(picture, x: (Self.side - picture.width) / 2, y: Self.side - picture.height)
        for (line, caption) in captions.enumerated() {
            tile.drawText(
                Self.shortened(caption), x: 2, y: Self.side + 3 + 11 * line, colour: .black, scale: 1)
        }
        tiles.append(tile)
    }

    /// A text shortened in its middle to fit below an image.
    private static func shortened(_ text: String) -> String {
        let most = (side - 4) / Image.textSize("m", scale: 1).width
        guard text.count > most else { return text }
        return text.prefix((most - 2) / 2) + ".." + text.suffix((most - 2) / 2)
    }

    /// The sheet: rows of at most five images; nil without images.
    func picture() -> Image? {
        guard !tiles.isEmpty else { return nil }
        var columns = 1
        while columns * columns < tiles.count, columns < 5 { columns += 1 }
        let rows = (tiles.count + columns - 1) / columns
        let (width, height) = (Self.side + Self.gap, Self.side + Self.captionHeight + Self.gap)
        var sheet = Image(
            filledWith: .white, width: columns * width + Self.gap, height: rows * height + Self.gap)
        for (index, tile) in tiles.enumerated() {
            sheet.paste(tile, x: Self.gap + index % columns * width, y: Self.gap + index / columns * height)
        }
        return sheet
    }
}

extension InstanceMasks {
    /// A picture of instance numbers from 1 on; where masks overlap, the later one is visible.
    fileprivate var labels: LabelImage {
        var result = LabelImage(width: width, height: height, labels: [UInt16](repeating: 0, count: width * height))
        for instance in 0..<count {
            let number = UInt16(truncatingIfNeeded: instance % 65535 + 1)
            forEachRun(of: instance) { row, columns in
                for x in columns { result.labels[row * width + x] = number }
            }
        }
        return result
    }
}
