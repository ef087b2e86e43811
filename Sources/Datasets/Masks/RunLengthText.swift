extension RunLengthEncoding {
    /// Maximum characters of a number: five bits each, so a difference of two runs of any readable mask fits.
    static let maximumCharacters = 6
    /// The characters are "0" to "o": five bits and one that marks whether the number continues.
    private static let firstCharacter: UInt8 = 48

    /// Creates a mask from COCO's text form, in which each character holds five bits of a number, low ones first.
    ///
    /// From the fourth number on it is the difference to the run two before. Throws `ShapeFault` if a character is
    /// outside the alphabet, a number is longer than six characters, or the runs do not fit the mask.
    public init(compressed text: some Collection<UInt8>, width: Int, height: Int) throws(ShapeFault) {
        var counts: [UInt32] = []
        try Self.decode(text, pixels: Self.pixels(width: width, height: height)) { counts.append(UInt32($0)) }
        self.init(trusted: counts, width: width, height: height)
    }

    /// Creates a mask from COCO's text form.
    public init(compressed text: String, width: Int, height: Int) throws(ShapeFault) {
        try self.init(compressed: Array(text.utf8), width: width, height: height)
    }

    /// Reads and checks the text form run by run.
    static func decode(
        _ text: some Collection<UInt8>, pixels: Int, _ body: (Int) -> Void
    ) throws(ShapeFault) {
        var sum = RunSum(pixels: pixels)
        var previous = (0, 0)  // the runs two before and one before
        var number = 0
        var runs = 0
        var characters = 0
        for byte in text {
            guard byte >= firstCharacter, byte < firstCharacter + 64 else {
                throw ShapeFault(.runText, "a text of runs with the byte \(byte)")
            }
            guard characters < maximumCharacters else {
                throw ShapeFault(.runText, "a text of runs with a number over \(maximumCharacters) characters")
            }
            let bits = Int(byte - firstCharacter)
            number |= (bits & 0x1f) << (5 * characters)
            characters += 1
            if bits & 0x20 != 0 { continue }
            if bits & 0x10 != 0 { number |= -1 << (5 * characters) }
            let count = runs > 2 ? number + previous.0 : number
            try sum.add(count)
            body(count)
            previous = (previous.1, count)
            (number, characters) = (0, 0)
            runs += 1
        }
        guard characters == 0 else { throw ShapeFault(.runText, "a text of runs that ends inside a number") }
        try sum.finish()
    }

    /// The mask in COCO's text form.
    public var compressed: String {
        var text: [UInt8] = []
        text.reserveCapacity(counts.count * 2)
        for (index, count) in counts.enumerated() {
            var rest = Int(count) - (index > 2 ? Int(counts[index - 2]) : 0)
            var isLast = false
            while !isLast {
                let bits = UInt8(rest & 0x1f)
                rest >>= 5
                isLast = bits & 0x10 != 0 ? rest == -1 : rest == 0
                text.append(Self.firstCharacter + (isLast ? bits : bits | 0x20))
            }
        }
        return String(decoding: text, as: UTF8.self)
    }
}
