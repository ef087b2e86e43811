/// Values of no use to the caller, whose syntax is checked all the same.
extension JSONReader {
    /// Skips a value of any kind.
    @inlinable
    public mutating func skip() throws(Failure) {
        var objects: [Bool] = []  // for each open level whether it is an object
        repeat {
            switch try kind() {
            case .object:
                try take("{")
                try open(&objects, true)
                if try peek() != UInt8(ascii: "}") {
                    try skipKey()
                    continue
                }
            case .array:
                try take("[")
                try open(&objects, false)
                if try peek() != UInt8(ascii: "]") { continue }
            case .string: try scanString(keepingAtMost: nil)
            case .number:
                guard try notFinite() == nil else { throw fault(.syntax, "NaN and infinities are not JSON") }
                _ = try number()
            case .literal: _ = try literal()
            }
            while let isObject = objects.last {
                if try takes(",") {
                    if isObject { try skipKey() }
                    break
                }
                try take(isObject ? "}" : "]")
                objects.removeLast()
            }
        } while !objects.isEmpty
    }

    @inlinable
    func open(_ objects: inout [Bool], _ isObject: Bool) throws(Failure) {
        guard objects.count < Self.deepest else { throw fault(.syntax, "more than \(Self.deepest) levels") }
        objects.append(isObject)
    }

    @inlinable
    mutating func skipKey() throws(Failure) {
        guard try peek() == UInt8(ascii: "\"") else { throw fault(.syntax, "a key without quotation mark") }
        try scanString(keepingAtMost: nil)
        try take(":")
    }
}

/// Values that may be of the wrong type: those are consumed too, so that reading can continue after them.
extension JSONReader {
    /// Consumes a value; nil if it is not an integer.
    @inlinable
    public mutating func integerOrNil() throws(Failure) -> Int? {
        if case .number = try kind() { return try integer() }
        try skip()
        return nil
    }

    /// Consumes a value; nil if it is not a number.
    @inlinable
    public mutating func numberOrNil() throws(Failure) -> Double? {
        if case .number = try kind() { return try number() }
        try skip()
        return nil
    }

    /// Consumes a value; nil if it is not a string.
    @inlinable
    public mutating func stringOrNil() throws(Failure) -> String? {
        if case .string = try kind() { return try string() }
        try skip()
        return nil
    }

    /// Consumes an array of at most `limit` numbers into `numbers`; false if the value is something else.
    @inlinable
    public mutating func numbers(into numbers: inout [Double], limit: Int = 1 << 22) throws(Failure) -> Bool {
        numbers.removeAll(keepingCapacity: true)
        guard case .array = try kind() else {
            try skip()
            return false
        }
        var areNumbers = true
        try take("[")
        if try takes("]") { return true }
        repeat {
            guard numbers.count < limit else { throw fault(.syntax, "an array of more than \(limit) numbers") }
            if let number = try numberOrNil() { numbers.append(number) } else { areNumbers = false }
        } while try takes(",")
        try take("]")
        return areNumbers
    }
}
