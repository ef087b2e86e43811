public import Tensors

/// The source of changes: random numbers, the words of a format, and other inputs.
public struct MutationSource: Sendable {
    public var generator: SeededGenerator
    private let words: [[UInt8]]
    private let seeds: [[UInt8]]
    /// Maximum size of an input.
    private let longest: Int

    public init(seed: UInt64, number: Int = 0, parser: FuzzedParser, seeds: [[UInt8]]) {
        generator = SeededGenerator(seed: seed, sample: number, purpose: "fuzz " + parser.name)
        (words, longest, self.seeds) = (parser.words, parser.longestInput, seeds)
    }

    /// Numbers at which readers tend to fail.
    static let numbers: [Int] =
        [
            0, 1, 2, 3, 4, 7, 8, 9, 16, 64, 100, 255, 256, 1024, 4096, 16_384, 65_535, 65_536, 1 << 24, .max, .min, -1,
            -2,
        ]
        + [30, 31, 32, 33, 40, 52, 53, 61, 62].flatMap { [1 << $0, (1 << $0) - 1] }

    /// A random element.
    mutating func one<Things: RandomAccessCollection>(of things: Things) -> Things.Element where Things.Index == Int {
        things[things.startIndex + generator.index(below: things.count)]
    }

    mutating func number() -> Int {
        let number = one(of: Self.numbers)
        return generator.chance(0.2) ? number &+ generator.index(below: 5) &- 2 : number
    }

    /// A random part of an input, preferably short.
    mutating func range(in count: Int) -> Range<Int> {
        let start = generator.index(below: count + 1)
        let limit = generator.chance(0.7) ? min(16, count - start) : count - start
        return start..<start + generator.index(below: limit + 1)
    }

    /// Another input.
    mutating func other() -> [UInt8] { seeds.isEmpty ? [] : one(of: seeds) }

    /// Changes bytes in one to four places, regardless of their meaning.
    mutating func changeBytes(of bytes: inout [UInt8]) {
        repeat { changeOnce(&bytes) } while generator.chance(0.4)
        if bytes.count > longest { bytes.removeLast(bytes.count - longest) }
    }

    private mutating func changeOnce(_ bytes: inout [UInt8]) {
        guard !bytes.isEmpty else {
            bytes = other()
            return
        }
        let place = generator.index(below: bytes.count)
        switch generator.index(below: 14) {
        case 0, 1: bytes[place] ^= 1 << UInt8(generator.index(below: 8))
        case 2: bytes[place] = UInt8(truncatingIfNeeded: generator.next())
        case 3: bytes[place] &+= generator.chance(0.5) ? 1 : 255
        case 4, 5: writeNumber(into: &bytes, at: place)
        case 6: bytes.removeSubrange(range(in: bytes.count))
        case 7: bytes.insert(contentsOf: bytes[range(in: bytes.count)], at: place)
        case 8: bytes.removeLast(bytes.count - place)
        case 9: splice(&bytes, at: place)
        case 10 where !words.isEmpty: bytes.insert(contentsOf: one(of: words), at: place)
        case 11 where !words.isEmpty:
            let word = one(of: words)
            bytes.replaceSubrange(place..<min(bytes.count, place + word.count), with: word)
        case 12: changeDigits(in: &bytes, from: place)
        default: exchange(in: &bytes)
        }
    }

    /// A number of one to eight bytes in either order.
    private mutating func writeNumber(into bytes: inout [UInt8], at place: Int) {
        let value = number()
        let width = 1 << generator.index(below: 4)
        let isLittle = generator.chance(0.5)
        for index in 0..<min(width, bytes.count - place) {
            bytes[place + index] = UInt8(truncatingIfNeeded: value >> (8 * (isLittle ? index : width - 1 - index)))
        }
    }

    /// The start of one input and the end of another.
    private mutating func splice(_ bytes: inout [UInt8], at place: Int) {
        let other = other()
        let from = generator.chance(0.5) ? min(place, other.count) : generator.index(below: other.count + 1)
        bytes.replaceSubrange(place..., with: other[from...])
    }

    private mutating func exchange(in bytes: inout [UInt8]) {
        let (from, to) = (range(in: bytes.count), generator.index(below: bytes.count))
        let piece = Array(bytes[from])
        bytes.replaceSubrange(to..<min(bytes.count, to + piece.count), with: piece)
    }

    /// Replaces the next decimal number.
    mutating func changeDigits(in bytes: inout [UInt8], from place: Int) {
        let digits = UInt8(ascii: "0")...UInt8(ascii: "9")
        guard let start = bytes[place...].firstIndex(where: digits.contains) else { return }
        let end = bytes[start...].firstIndex { !digits.contains($0) } ?? bytes.count
        bytes.replaceSubrange(start..<end, with: Array(String(number()).utf8))
    }

    /// Deletes, duplicates, moves or replaces one of the parts of an input.
    mutating func rearrange<Part>(_ parts: inout [Part]) {
        guard !parts.isEmpty else { return }
        let place = generator.index(below: parts.count)
        switch generator.index(below: 3) {
        case 0: parts.remove(at: place)
        case 1: parts.insert(parts[place], at: generator.index(below: parts.count + 1))
        default: parts.swapAt(place, generator.index(below: parts.count))
        }
    }
}
