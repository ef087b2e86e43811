import Datasets
import Foundation
import Imaging
import Tensors

// Digital: effects of cameras, codecs and rescaling.
extension Image {
    /// Raises the value of hue, saturation and value.
    func withBrightness(_ level: Int) -> Image {
        let rise = [0.1, 0.2, 0.3, 0.4, 0.5][level]
        var field = SampleField(self)
        for place in stride(from: 0, to: field.values.count, by: 3) {
            var colour = HSVColour(
                red: field.values[place], green: field.values[place + 1], blue: field.values[place + 2])
            colour.value = min(max(colour.value + rise, 0), 1)
            (field.values[place], field.values[place + 1], field.values[place + 2]) = colour.rgb
        }
        return field.image()
    }

    /// Shrinks every channel towards its mean.
    func withContrast(_ level: Int) -> Image {
        let factor = [0.4, 0.3, 0.2, 0.1, 0.05][level]
        var field = SampleField(self)
        for channel in 0..<3 {
            let places = stride(from: channel, to: field.values.count, by: 3)
            let mean = places.reduce(0) { $0 + field.values[$1] } / Double(width * height)
            for place in places { field.values[place] = (field.values[place] - mean) * factor + mean }
        }
        return field.image()
    }

    /// Displaces pixels by a smooth random field.
    func withElasticTransform(_ level: Int, _ generator: inout SeededGenerator) -> Image {
        let strength = [250 * 0.05, 250 * 0.065, 250 * 0.085, 250 * 0.1, 250 * 0.12][level]
        let reach = Double(height) * 0.005  // of both directions, as published
        func displacement() -> [Double] {
            SampleField(width: width, height: height, drawing: { generator.uniform(-reach, reach) })
                .smoothed(sigmaX: 0.01 * Double(width), sigmaY: 0.01 * Double(height), truncate: 3, .reflected)
                .values.map { $0 * strength }
        }
        let (across, down) = (displacement(), displacement())
        let original = SampleField(self)
        var moved = original
        for y in 0..<height {
            for x in 0..<width {
                let place = y * width + x
                let (column, row) = (Double(x) + across[place], Double(y) + down[place])
                let (left, top) = (column.rounded(.down), row.rounded(.down))
                let (u, v) = (column - left, row - top)
                let columns = [Int(left), Int(left) + 1].map { SampleField.Border.reflected.inside($0, count: width) }
                let rows = [Int(top), Int(top) + 1].map { SampleField.Border.reflected.inside($0, count: height) }
                for channel in 0..<3 {
                    func at(_ j: Int, _ i: Int) -> Double {
                        original.values[3 * (rows[j] * width + columns[i]) + channel]
                    }
                    moved.values[3 * place + channel] =
                        (at(0, 0) * (1 - u) + at(0, 1) * u) * (1 - v) + (at(1, 0) * (1 - u) + at(1, 1) * u) * v
                }
            }
        }
        return moved.image()
    }

    /// Box means, drawn as boxes.
    func pixelated(_ level: Int) -> Image {
        let scale = [0.6, 0.5, 0.4, 0.3, 0.25][level]
        let small = Resize.box(self, width: Int(Double(width) * scale), height: Int(Double(height) * scale))
        return Resize.nearest(small, width: width, height: height)
    }

    /// Encodes to JPEG, 4:2:0, and decodes again.
    func withJPEGCompression(_ level: Int) throws -> Image {
        do {
            return try ImageFile.decode(
                bytes: ImageFile.encodeJPEG(self, quality: [25, 18, 15, 10, 7][level]), name: "corrupted image")
        } catch let error as ImagingError {
            throw DatasetError(.unreadableFile, at: error.file, error.cause, remedy: error.remedy)
        }
    }
}

/// A colour as hue in turns, saturation and value, each 0...1.
struct HSVColour {
    var hue: Double
    var saturation: Double
    var value: Double

    /// Converts from RGB in 0...1; a grey has hue and saturation 0.
    init(red: Double, green: Double, blue: Double) {
        value = max(red, green, blue)
        let range = value - min(red, green, blue)
        guard range > 0 else {
            (hue, saturation) = (0, 0)
            return
        }
        saturation = range / value
        // Of equal largest channels the last one counts.
        let sixths =
            if blue == value { 4 + (red - green) / range } else if green == value { 2 + (blue - red) / range } else {
                (green - blue) / range
            }
        hue = sixths / 6 - (sixths / 6).rounded(.down)
    }

    /// The colour as RGB in 0...1.
    var rgb: (red: Double, green: Double, blue: Double) {
        let sector = (hue * 6).rounded(.down)
        let fraction = hue * 6 - sector
        let lowest = value * (1 - saturation)
        let falling = value * (1 - fraction * saturation)
        let rising = value * (1 - (1 - fraction) * saturation)
        switch Int(sector) % 6 {
        case 0: return (value, rising, lowest)
        case 1: return (falling, value, lowest)
        case 2: return (lowest, value, rising)
        case 3: return (lowest, falling, value)
        case 4: return (rising, lowest, value)
        default: return (value, lowest, falling)
        }
    }
}
