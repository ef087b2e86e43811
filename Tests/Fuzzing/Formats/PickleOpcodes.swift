import Tensors

/// A pickle parsed into opcodes with their arguments.
struct PickleOpcodes {
    var opcodes: [[UInt8]] = []

    init(_ bytes: [UInt8]) {
        var place = 0
        while place < bytes.count {
            let end = min(bytes.count, place + 1 + Self.argument(of: bytes, at: place))
            opcodes.append(Array(bytes[place..<end]))
            place = end
        }
    }

    /// The bytes that follow an opcode.
    private static func argument(of bytes: [UInt8], at place: Int) -> Int {
        switch Unicode.Scalar(bytes[place]) {
        case "\u{80}", "q", "h", "K": return 1
        case "M": return 2
        case "r", "j", "J": return 4
        case "G": return 8
        case "U", "\u{8a}": return 1 + (bytes.little(1, at: place + 1) ?? 0)
        case "X": return 4 + (bytes.little(4, at: place + 1) ?? 0)
        case "c":
            let first = bytes[place...].firstIndex(of: 10) ?? bytes.count - 1
            return (bytes[(first + 1)...].firstIndex(of: 10) ?? bytes.count - 1) - place
        default: return 0
        }
    }

    /// One change: a whole number becomes another, a global another, or opcodes move.
    mutating func change(_ source: inout MutationSource) {
        opcodes.removeAll(where: \.isEmpty)
        guard !opcodes.isEmpty else { return }
        let numbers = opcodes.indices.filter { "KMJ\u{8a}".unicodeScalars.contains(Unicode.Scalar(opcodes[$0][0])) }
        let globals = opcodes.indices.filter { opcodes[$0][0] == UInt8(ascii: "c") }
        let texts = opcodes.indices.filter { opcodes[$0][0] == UInt8(ascii: "X") }
        switch source.generator.index(below: 6) {
        case 0, 1:
            repeat {
                guard !numbers.isEmpty else { return }
                opcodes[source.one(of: numbers)] = Self.long(source.number())
            } while source.generator.chance(0.6)
        case 2 where !globals.isEmpty: opcodes[source.one(of: globals)] = Array(source.one(of: Self.globals).utf8)
        case 3 where !texts.isEmpty: opcodes[source.one(of: texts)] = opcodes[source.one(of: texts)]
        case 4: source.changeBytes(of: &opcodes[source.generator.index(below: opcodes.count)])
        default: source.rearrange(&opcodes)
        }
    }

    private static func long(_ value: Int) -> [UInt8] {
        var bytes: [UInt8] = [0x8a, 8]
        bytes.appendLittle(value, 8)
        return bytes
    }

    private static let globals = [
        "ctorch\nFloatStorage\n", "ctorch\nByteStorage\n", "ctorch\nDoubleStorage\n",
        "ctorch._utils\n_rebuild_tensor_v2\n",
        "ctorch._utils\n_rebuild_parameter\n", "ccollections\nOrderedDict\n", "cos\nsystem\n",
    ]
}
