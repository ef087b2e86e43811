/// Numbers in byte arrays, for changing and sealing formats; nil outside the array.
extension [UInt8] {
    func little(_ width: Int, at place: Int) -> Int? {
        guard place >= 0, place <= count - width else { return nil }
        return self[place..<place + width].reversed().reduce(0) { $0 &<< 8 | Int($1) }
    }

    func big(_ width: Int, at place: Int) -> Int? {
        guard place >= 0, place <= count - width else { return nil }
        return self[place..<place + width].reduce(0) { $0 &<< 8 | Int($1) }
    }

    mutating func setLittle(_ value: Int, _ width: Int, at place: Int) {
        for index in 0..<width { self[place + index] = UInt8(truncatingIfNeeded: value >> (8 * index)) }
    }

    mutating func appendLittle(_ value: Int, _ width: Int) {
        for index in 0..<width { append(UInt8(truncatingIfNeeded: value >> (8 * index))) }
    }

    mutating func appendBig(_ value: Int, _ width: Int) {
        for index in (0..<width).reversed() { append(UInt8(truncatingIfNeeded: value >> (8 * index))) }
    }
}
