/// Connected pieces of masks, found from their runs: pixels that touch at a side or a corner belong together.
extension InstanceMasks {
    /// The number of pixels of each piece of one mask, in no particular order.
    package func pieces(of instance: Int) -> [Int] { Self.pieces(runs(of: instance)) }

    /// The number of pieces of all masks together.
    package var pieceCount: Int {
        if count == 1 { return pieces(of: 0).count }
        // Sorted by row first, as few runs share one.
        var next = [Int](repeating: 0, count: height + 1)
        for run in runs { next[Int(run.row) + 1] += 1 }
        for row in 0..<height { next[row + 1] += next[row] }
        let starts = next
        var sorted = runs
        for run in runs {
            sorted[next[Int(run.row)]] = run
            next[Int(run.row)] += 1
        }
        for row in 0..<height where starts[row + 1] - starts[row] > 1 {
            sorted[starts[row]..<starts[row + 1]].sort { ($0.first, $0.end) < ($1.first, $1.end) }
        }
        return Self.pieces(sorted[...]).count
    }

    /// The pieces of runs in reading order; runs of one row may touch.
    private static func pieces(_ runs: ArraySlice<Run>) -> [Int] {
        let runs = Array(runs)
        var parent = Array(runs.indices)
        func root(_ place: Int) -> Int {
            var place = place
            while parent[place] != place {
                parent[place] = parent[parent[place]]
                place = parent[place]
            }
            return place
        }
        var above = 0
        var rowStart = 0
        for place in runs.indices {
            let run = runs[place]
            if place > 0 {
                if runs[place - 1].row == run.row {
                    if runs[place - 1].end >= run.first { parent[root(place)] = root(place - 1) }
                } else {
                    (above, rowStart) = (rowStart, place)
                }
            }
            // Runs of the row above that end in front of this one end in front of those behind it too.
            while above < rowStart, runs[above].row < run.row - 1 || runs[above].end < run.first { above += 1 }
            var other = above
            while other < rowStart, runs[other].first <= run.end {
                parent[root(other)] = root(place)
                other += 1
            }
        }
        var pixels = [Int](repeating: 0, count: runs.count)
        for place in runs.indices { pixels[root(place)] += Int(runs[place].end - runs[place].first) }
        return pixels.filter { $0 > 0 }
    }

    /// The mask that forms a rim around the others: nine tenths of what touches them belong to it, and it is not much larger
    /// than what it surrounds. Masks must not overlap.
    package func rim() -> Int? {
        guard (2...254).contains(count) else { return nil }
        var owner = [UInt8](repeating: 0, count: width * height)
        for instance in 0..<count {
            for run in runs(of: instance) {
                let row = Int(run.row) * width
                for x in Int(run.first)..<Int(run.end) { owner[row + x] = UInt8(instance + 1) }
            }
        }
        // Sides that two values share, counted for the pair.
        var contacts = [[Int]](repeating: [Int](repeating: 0, count: count + 1), count: count + 1)
        func join(_ first: UInt8, _ second: UInt8) {
            guard first != second else { return }
            contacts[Int(first)][Int(second)] += 1
            contacts[Int(second)][Int(first)] += 1
        }
        var outside = [Int](repeating: 0, count: count + 1)
        for y in 0..<height {
            for place in [y * width, y * width + width - 1] { outside[Int(owner[place])] += 1 }
        }
        for x in 0..<width {
            for place in [x, (height - 1) * width + x] { outside[Int(owner[place])] += 1 }
        }
        for y in 0..<height {
            for place in y * width..<y * width + width {
                if place + 1 < (y + 1) * width { join(owner[place], owner[place + 1]) }
                if y + 1 < height { join(owner[place], owner[place + width]) }
            }
        }
        for value in outside.indices { outside[value] += contacts[value][0] }
        let areas = (0..<count).map(pixelCount)
        let all = areas.reduce(0, +)
        return areas.indices.first { rim in
            let others = areas.indices.filter { $0 != rim }
            let touching = others.reduce(0) { sum, other in sum + contacts[other + 1].reduce(0, +) }
            let touchingRim = others.reduce(0) { $0 + contacts[$1 + 1][rim + 1] }
            // Where nothing is background, what lies at the edge of the image is outside.
            guard others.reduce(0, { $0 + outside[$1 + 1] }) <= outside[rim + 1] else { return false }
            return touchingRim > 0 && 10 * touchingRim >= 9 * touching && 2 * (all - areas[rim]) >= areas[rim]
        }
    }
}
