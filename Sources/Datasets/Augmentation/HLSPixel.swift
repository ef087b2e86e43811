/// A colour as hue, lightness and saturation in 8 bits each, by the formulas of OpenCV's `RGB2HLS` for 8-bit images.
package struct HLSPixel: Equatable {
    /// Half the hue angle in degrees, 0-180.
    package var hue: UInt8
    /// (max + min) / 2 of the channels, 0-255.
    package var lightness: UInt8
    /// (max - min) / (max + min), or / (2 - max - min) for light colours, 0-255.
    package var saturation: UInt8

    /// Converts from RGB in single precision, rounding half to even.
    package init(red: UInt8, green: UInt8, blue: UInt8) {
        let scale: Float = 1 / 255
        let (r, g, b) = (Float(red) * scale, Float(green) * scale, Float(blue) * scale)
        let largest = max(r, g, b)
        let smallest = min(r, g, b)
        let difference = largest - smallest
        let sum = largest + smallest
        let light = sum * 0.5
        var angle: Float = 0
        var saturate: Float = 0
        if difference > Float.ulpOfOne {
            saturate = light < 0.5 ? difference / sum : difference / (2 - largest - smallest)
            let perUnit = 60 / difference
            if largest == r {
                angle = (g - b) * perUnit
            } else if largest == g {
                angle = (b - r) * perUnit + 120
            } else {
                angle = (r - g) * perUnit + 240
            }
            if angle < 0 { angle += 360 }
        }
        hue = saturated(angle * 0.5)
        lightness = saturated(light * 255)
        saturation = saturated(saturate * 255)
    }

    /// The colour as RGB.
    package var rgb: (red: UInt8, green: UInt8, blue: UInt8) {
        let light = Float(lightness) * (1 / 255)
        let saturate = Float(saturation) * (1 / 255)
        guard saturation > 0 else { return (lightness, lightness, lightness) }
        let upper = light <= 0.5 ? light * (1 + saturate) : light + saturate - light * saturate
        let lower = 2 * light - upper
        var position = Float(hue) * (6 / Float(180))  // sixths of the circle
        if position >= 6 { position -= 6 }
        let sector = Int(position)
        let fraction = position - Float(sector)
        let falling = saturated((lower + (upper - lower) * (1 - fraction)) * 255)
        let rising = saturated((lower + (upper - lower) * fraction) * 255)
        let (high, low) = (saturated(upper * 255), saturated(lower * 255))
        switch sector {
        case 0: return (high, rising, low)
        case 1: return (falling, high, low)
        case 2: return (low, high, rising)
        case 3: return (low, falling, high)
        case 4: return (rising, low, high)
        default: return (high, low, falling)
        }
    }
}
