extension PolygonRasterisation {
    /// The pixels whose centres lie in a circle, on the axes of `Box`. Throws `ShapeFault` if the mask is too large.
    public static func encode(
        discAround centre: (x: Double, y: Double), radius: Double, width: Int, height: Int
    ) throws(ShapeFault) -> RunLengthEncoding {
        let pixels = try RunLengthEncoding.pixels(width: width, height: height)
        for number in [centre.x, centre.y, radius] { try check(coordinate: number) }
        var counts: [UInt32] = []
        var end = 0
        for column in 0..<width {
            let distance = Double(column) + 0.5 - centre.x
            guard abs(distance) <= radius else { continue }
            let half = (radius * radius - distance * distance).squareRoot()
            let first = max(0, Int((centre.y - half - 0.5).rounded(.up)))
            let last = min(height - 1, Int((centre.y + half - 0.5).rounded(.down)))
            guard first <= last else { continue }
            let start = column * height + first
            if start == end, !counts.isEmpty {
                counts[counts.count - 1] += UInt32(last - first + 1)
            } else {
                counts += [UInt32(start - end), UInt32(last - first + 1)]
            }
            end = column * height + last + 1
        }
        if end < pixels { counts.append(UInt32(pixels - end)) }
        return RunLengthEncoding(trusted: counts, width: width, height: height)
    }
}
