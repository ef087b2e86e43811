extension RunLengthEncoding {
    /// The pixels in either mask. Throws `ShapeFault` if the sizes differ.
    public func union(_ other: RunLengthEncoding) throws(ShapeFault) -> RunLengthEncoding {
        var combined: [UInt32] = []
        var length: UInt32 = 0
        var isInside = false
        try walk(with: other) { step, isHere, isThere in
            if (isHere || isThere) != isInside {
                combined.append(length)
                length = 0
                isInside.toggle()
            }
            length += UInt32(step)
        }
        combined.append(length)
        return RunLengthEncoding(trusted: combined, width: width, height: height)
    }

    /// Traverses both masks together, in steps within which neither changes.
    private func walk(
        with other: RunLengthEncoding, _ body: (_ length: Int, _ isHere: Bool, _ isThere: Bool) -> Void
    ) throws(ShapeFault) {
        guard width == other.width, height == other.height else {
            throw ShapeFault(.maskSize, "masks of \(width)x\(height) and \(other.width)x\(other.height) pixels")
        }
        var (here, there) = (0, 0)
        var (leftHere, leftThere) = (Int(counts[0]), Int(other.counts[0]))
        var left = width * height
        while left > 0 {
            while leftHere == 0 {
                here += 1
                leftHere = Int(counts[here])
            }
            while leftThere == 0 {
                there += 1
                leftThere = Int(other.counts[there])
            }
            let step = min(leftHere, leftThere)
            body(step, here % 2 == 1, there % 2 == 1)
            leftHere -= step
            leftThere -= step
            left -= step
        }
    }
}
