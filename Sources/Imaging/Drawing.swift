// Drawing for pictures meant for people. Every call works on RGB: a grey image becomes RGB at the first call.

extension Image {
    /// The image as RGB; grey values are repeated in the three channels.
    public func rgb() -> Image {
        if channels == 3 { return self }
        var result = Image(width: width, height: height, channels: 3)
        for (index, value) in pixels.enumerated() {
            result.pixels[3 * index] = value
            result.pixels[3 * index + 1] = value
            result.pixels[3 * index + 2] = value
        }
        return result
    }

    /// The colour of pixel (x, y), which must lie inside the image.
    public func colour(x: Int, y: Int) -> Colour {
        let offset = (y * width + x) * channels
        return channels == 1
            ? Colour(pixels[offset], pixels[offset], pixels[offset])
            : Colour(pixels[offset], pixels[offset + 1], pixels[offset + 2])
    }

    /// Colours pixel (x, y); ignored outside the image.
    public mutating func setPixel(x: Int, y: Int, _ colour: Colour) {
        guard (0..<width).contains(x), (0..<height).contains(y) else { return }
        becomeRGB()
        let offset = (y * width + x) * 3
        pixels[offset] = colour.red
        pixels[offset + 1] = colour.green
        pixels[offset + 2] = colour.blue
    }

    private mutating func becomeRGB() {
        if channels == 1 { self = rgb() }
    }

    // MARK: Masks

    /// Overlays the instances of a label image of the same size, each in its own colour.
    ///
    /// `opacity` is that of the areas, 0 to 1; `contour` draws each border in full colour.
    public mutating func overlay(_ labels: LabelImage, opacity: Double = 0.45, contour: Bool = true) {
        precondition(
            labels.width == width && labels.height == height,
            "labels \(labels.width)x\(labels.height) over an image \(width)x\(height)")
        let colours = (0...Int(labels.labels.max() ?? 0)).map(Colour.instance)
        overlay(values: labels.labels, colours: colours, opacity: opacity, contour: contour)
    }

    /// Blends a colour over every pixel, as far as its value says: 0 leaves it, 1 replaces it. // [height, width]
    public mutating func tint(_ values: [Float], colour: Colour) {
        precondition(values.count == width * height, "\(values.count) values over an image \(width)x\(height)")
        becomeRGB()
        for (index, value) in values.enumerated() where value > 0 {
            let below = Colour(pixels[3 * index], pixels[3 * index + 1], pixels[3 * index + 2])
            let top = colour.over(below, opacity: Double(min(value, 1)))
            (pixels[3 * index], pixels[3 * index + 1], pixels[3 * index + 2]) = (top.red, top.green, top.blue)
        }
    }

    /// Overlays a mask, `[height, width]` of true inside.
    public mutating func overlay(mask: [Bool], colour: Colour, opacity: Double = 0.45, contour: Bool = true) {
        precondition(mask.count == width * height, "\(mask.count) mask values over an image \(width)x\(height)")
        overlay(values: mask.map { $0 ? 1 : 0 }, colours: [colour, colour], opacity: opacity, contour: contour)
    }

    /// Blends `colours[value]` over every pixel whose value is not 0.
    private mutating func overlay(values: [UInt16], colours: [Colour], opacity: Double, contour: Bool) {
        precondition((0...1).contains(opacity), "opacity is 0 to 1, not \(opacity)")
        becomeRGB()
        let (width, height) = (width, height)
        pixels.withUnsafeMutableBufferPointer { pixels in
            for index in values.indices where values[index] != 0 {
                let (value, x, y) = (values[index], index % width, index / width)
                // A border pixel differs from one of its four neighbours, or is at the edge of the image.
                let isBorder =
                    x == 0 || y == 0 || x == width - 1 || y == height - 1
                    || values[index - 1] != value || values[index + 1] != value
                    || values[index - width] != value || values[index + width] != value
                let below = Colour(pixels[3 * index], pixels[3 * index + 1], pixels[3 * index + 2])
                let top = colours[Int(value)].over(below, opacity: contour && isBorder ? 1 : opacity)
                pixels[3 * index] = top.red
                pixels[3 * index + 1] = top.green
                pixels[3 * index + 2] = top.blue
            }
        }
    }

    // MARK: Prompts

    /// Draws the outline of a box whose corner pixels are (left, top) and (right, bottom), growing inwards.
    public mutating func drawBox(
        left: Int, top: Int, right: Int, bottom: Int, colour: Colour, thickness: Int = 2
    ) {
        guard left <= right, top <= bottom else { return }
        for y in max(top, 0)...max(min(bottom, height - 1), max(top, 0)) {
            let isEdgeRow = y < top + thickness || y > bottom - thickness
            for x in max(left, 0)...max(min(right, width - 1), max(left, 0))
            where isEdgeRow || x < left + thickness || x > right - thickness {
                setPixel(x: x, y: y, colour)
            }
        }
    }

    /// Draws a point prompt as a disc with a white rim: green inside an object, red outside.
    public mutating func drawPoint(x: Int, y: Int, isForeground: Bool, radius: Int = 4) {
        let colour = isForeground ? Colour.foreground : Colour.background
        for dy in -radius - 1...radius + 1 {
            for dx in -radius - 1...radius + 1 {
                let distance = dx * dx + dy * dy
                if distance <= radius * radius {
                    setPixel(x: x + dx, y: y + dy, colour)
                } else if distance <= (radius + 1) * (radius + 1) {
                    setPixel(x: x + dx, y: y + dy, .white)
                }
            }
        }
    }

    // MARK: Composition

    /// Copies another image onto this one with its top left pixel at (x, y), cropped to this image.
    public mutating func paste(_ other: Image, x: Int, y: Int) {
        becomeRGB()
        let source = other.rgb()
        let columns = max(0, -x)..<max(max(0, -x), min(source.width, width - x))
        for row in max(0, -y)..<max(max(0, -y), min(source.height, height - y)) {
            let from = (row * source.width + columns.lowerBound) * 3
            let to = ((y + row) * width + x + columns.lowerBound) * 3
            pixels.replaceSubrange(to..<to + columns.count * 3, with: source.pixels[from..<from + columns.count * 3])
        }
    }

    /// The images in one row, their tops aligned, with `gap` pixels between them.
    public static func sideBySide(_ images: [Image], gap: Int = 8, background: Colour = .white) -> Image {
        let width = images.reduce(0) { $0 + $1.width } + gap * max(images.count - 1, 0)
        let height = images.map(\.height).max() ?? 0
        var result = Image(filledWith: background, width: width, height: height)
        var x = 0
        for image in images {
            result.paste(image, x: x, y: 0)
            x += image.width + gap
        }
        return result
    }

    /// Creates an RGB image of one colour.
    public init(filledWith colour: Colour, width: Int, height: Int) {
        self.init(width: width, height: height, channels: 3)
        for offset in stride(from: 0, to: pixels.count, by: 3) {
            pixels[offset] = colour.red
            pixels[offset + 1] = colour.green
            pixels[offset + 2] = colour.blue
        }
    }

    // MARK: Text

    /// The size of a line of text in pixels: cells of 6 x 8 pixels times `scale`.
    public static func textSize(_ text: String, scale: Int = 2) -> (width: Int, height: Int) {
        (text.count * 6 * scale, 8 * scale)
    }

    /// Draws a line of text with its top left corner at (x, y), in a fixed 5 x 7 font enlarged `scale` times.
    ///
    /// Digits, Latin letters and `. , - + % : / ( ) = _` have glyphs; any other character is drawn as a small square.
    public mutating func drawText(_ text: String, x: Int, y: Int, colour: Colour = .white, scale: Int = 2) {
        for (index, character) in text.enumerated() where character != " " {
            for (row, bits) in Glyphs.rows(of: character).enumerated() {
                for column in 0..<5 where bits >> (4 - column) & 1 == 1 {
                    let (left, top) = (x + (index * 6 + column) * scale, y + row * scale)
                    for dy in 0..<scale {
                        for dx in 0..<scale { setPixel(x: left + dx, y: top + dy, colour) }
                    }
                }
            }
        }
    }

    /// The image below a strip with a line of text.
    public func captioned(_ text: String, colour: Colour = .black, background: Colour = .white, scale: Int = 2) -> Image
    {
        let strip = Image.textSize(text, scale: scale).height + 2 * scale
        var result = Image(filledWith: background, width: width, height: height + strip)
        result.drawText(text, x: 2 * scale, y: scale, colour: colour, scale: scale)
        result.paste(self, x: 0, y: strip)
        return result
    }
}
