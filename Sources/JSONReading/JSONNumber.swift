/// A number as it was scanned, in the grammar of JSON.
@usableFromInline
struct JSONNumber {
    @usableFromInline var isNegative = false
    /// All digits as one integer, as far as they fit.
    @usableFromInline var digits: UInt64 = 0
    /// Whether all digits fitted.
    @usableFromInline var isExact = true
    /// Ten to this power times the digits is the value.
    @usableFromInline var exponent = 0
    /// Whether it is written without fraction and exponent.
    @usableFromInline var isWhole = true
    @usableFromInline var length = 0

    /// Powers of ten that a `Double` holds exactly.
    private static let powersOfTen: [Double] = [
        1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19,
        1e20, 1e21, 1e22,
    ]

    @inlinable init() {}

    /// Scans a number that ends before a byte of another kind; nil if it is malformed or ends too early.
    @inlinable
    static func scan(_ text: UnsafePointer<UInt8>) -> JSONNumber? {
        var scanned = JSONNumber()
        var next = 0
        if text[next] == UInt8(ascii: "-") {
            scanned.isNegative = true
            next += 1
        }
        let first = next
        while let value = digit(text[next]) {
            scanned.append(value, isFraction: false)
            next += 1
        }
        guard next > first, next == first + 1 || text[first] != UInt8(ascii: "0") else { return nil }
        if text[next] == UInt8(ascii: ".") {
            scanned.isWhole = false
            next += 1
            let start = next
            while let value = digit(text[next]) {
                scanned.append(value, isFraction: true)
                next += 1
            }
            guard next > start else { return nil }
        }
        if text[next] | 0x20 == UInt8(ascii: "e") {
            scanned.isWhole = false
            next += 1
            let isNegative = text[next] == UInt8(ascii: "-")
            if isNegative || text[next] == UInt8(ascii: "+") { next += 1 }
            let start = next
            var exponent = 0
            while let value = digit(text[next]) {
                exponent = min(exponent * 10 + Int(value), 100_000)
                next += 1
            }
            guard next > start else { return nil }
            scanned.exponent += isNegative ? -exponent : exponent
        }
        scanned.length = next
        return scanned
    }

    @inlinable
    static func digit(_ byte: UInt8) -> UInt64? {
        byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9") ? UInt64(byte - UInt8(ascii: "0")) : nil
    }

    @inlinable
    mutating func append(_ digit: UInt64, isFraction: Bool) {
        if digits < 100_000_000_000_000_000 {
            digits = digits * 10 + digit
            if isFraction { exponent -= 1 }
        } else {
            isExact = false
        }
    }

    /// The nearest `Double`; nil if digits and power of ten are not both exact, so that one operation might round wrongly.
    @inlinable var double: Double? {
        guard isExact, digits <= 1 << 53, abs(exponent) <= 22 else { return nil }
        let value = exponent == 0 ? Double(digits) : Self.scale(Double(digits), exponent)
        return isNegative ? -value : value
    }

    /// A number times ten to the power of `exponent`, from -22 to 22, correctly rounded.
    @usableFromInline
    static func scale(_ digits: Double, _ exponent: Int) -> Double {
        exponent < 0 ? digits / powersOfTen[-exponent] : digits * powersOfTen[exponent]
    }

    /// The nearest `Double` to a number of any length, infinite if it is too large for one.
    @usableFromInline
    static func double(_ text: UnsafePointer<UInt8>, length: Int) -> Double {
        Double(String(decoding: UnsafeBufferPointer(start: text, count: length), as: UTF8.self)) ?? .nan
    }
}
