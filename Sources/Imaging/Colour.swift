/// An RGB colour.
public struct Colour: Equatable, Sendable {
    /// Red, 0 to 255.
    public var red: UInt8
    /// Green, 0 to 255.
    public var green: UInt8
    /// Blue, 0 to 255.
    public var blue: UInt8

    /// Creates a colour from its channels.
    public init(_ red: UInt8, _ green: UInt8, _ blue: UInt8) {
        self.red = red
        self.green = green
        self.blue = blue
    }

    /// White.
    public static let white = Colour(255, 255, 255)
    /// Black.
    public static let black = Colour(0, 0, 0)
    /// Green, for parts of an object.
    public static let foreground = Colour(40, 200, 80)
    /// Red, for the background.
    public static let background = Colour(230, 50, 50)

    /// The colour of instance `number`: the same in every picture, and distinct from those of nearby numbers.
    ///
    /// The hue advances by the golden ratio, which spreads any run of numbers evenly over the circle.
    public static func instance(_ number: Int) -> Colour {
        let turns = Double(number) * 0.618_033_988_749_895
        let hue = 6 * (turns - turns.rounded(.down))  // [0, 6)
        let brightness = [255.0, 205.0, 235.0][abs(number) % 3]
        let saturation = [0.85, 0.95, 0.65, 0.75][abs(number) % 4]
        // The hue's distance from a primary determines how much of it is removed.
        func component(_ primary: Double) -> UInt8 {
            let difference = abs(hue - primary)
            let distance = min(difference, 6 - difference)
            let share = min(max(2 - distance, 0), 1)
            return UInt8(brightness * (1 - saturation * (1 - share)) + 0.5)
        }
        return Colour(component(0), component(2), component(4))
    }

    /// This colour blended over another with an opacity of 0 to 1.
    func over(_ other: Colour, opacity: Double) -> Colour {
        func mixed(_ top: UInt8, _ bottom: UInt8) -> UInt8 {
            UInt8(Double(bottom) + (Double(top) - Double(bottom)) * opacity + 0.5)
        }
        return Colour(mixed(red, other.red), mixed(green, other.green), mixed(blue, other.blue))
    }
}
