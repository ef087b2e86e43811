import Tensors

/// A safetensors file parsed into header and data.
struct SafetensorsParts {
    var header: [UInt8]
    var data: [UInt8]

    init(_ bytes: [UInt8]) {
        let length = min(max(bytes.little(8, at: 0) ?? 0, 0), max(bytes.count - 8, 0))
        header = Array(bytes.dropFirst(8).prefix(length))
        data = Array(bytes.dropFirst(8 + length))
    }

    func build() -> [UInt8] {
        var file: [UInt8] = []
        file.appendLittle(header.count, 8)
        return file + header + data
    }

    /// One change of the header's text with its length kept correct, or of the amount of data.
    static func change(_ bytes: inout [UInt8], _ source: inout MutationSource) {
        var file = SafetensorsParts(bytes)
        switch source.generator.index(below: 6) {
        case 0, 1:
            if !file.header.isEmpty {
                source.changeDigits(in: &file.header, from: source.generator.index(below: file.header.count))
            }
        case 2: file.changeMembers(&source)
        case 3: file.data = [UInt8](repeating: 0x3f, count: source.generator.index(below: 256))
        default: source.changeBytes(of: &file.header)
        }
        bytes = file.build()
    }

    /// Rearranges the parts between commas; brackets and braces may become unmatched.
    private mutating func changeMembers(_ source: inout MutationSource) {
        let isWhole = source.generator.chance(0.5)
        // "},": between tensors; ",": between any members.
        var members = String(decoding: header, as: UTF8.self)
            .components(between: isWhole ? "},\"" : ",")
        source.rearrange(&members)
        header = Array(members.joined(separator: isWhole ? "},\"" : ",").utf8)
    }
}

extension String {
    /// The pieces between occurrences of a separator.
    fileprivate func components(between separator: String) -> [String] {
        split(separator: separator, omittingEmptySubsequences: false).map(String.init)
    }
}
