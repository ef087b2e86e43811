/// The pieces of a binary image: pixels that touch at a side or a corner belong together (8-connectivity).
struct ConnectedComponents {
    /// For every pixel the number of its piece from 1, in order of the first pixel row by row, 0 for background, `[H, W]`.
    let labels: [Int32]
    /// The number of pieces.
    let count: Int
    private let width: Int
    private let height: Int

    /// Finds the pieces.
    init(_ isForeground: [Bool], width: Int, height: Int) {
        var labels = [Int32](repeating: 0, count: width * height)
        var count: Int32 = 0
        var pending: [Int] = []
        for first in 0..<width * height where isForeground[first] && labels[first] == 0 {
            count += 1
            labels[first] = count
            pending.append(first)
            while let pixel = pending.popLast() {
                let (y, x) = pixel.quotientAndRemainder(dividingBy: width)
                for row in max(y - 1, 0)...min(y + 1, height - 1) {
                    for column in max(x - 1, 0)...min(x + 1, width - 1) {
                        let neighbour = row * width + column
                        guard isForeground[neighbour], labels[neighbour] == 0 else { continue }
                        labels[neighbour] = count
                        pending.append(neighbour)
                    }
                }
            }
        }
        (self.labels, self.count) = (labels, Int(count))
        (self.width, self.height) = (width, height)
    }

    /// One mask per piece.
    var masks: InstanceMasks {
        var runs = [Int32](repeating: 0, count: count + 1)
        for row in 0..<height {
            for place in row * width..<row * width + width
            where place % width == 0 || labels[place] != labels[place - 1] {
                runs[Int(labels[place])] += 1
            }
        }
        return InstanceMasks(
            numbers: labels, width: width, height: height, runs, count > 0 ? Array(1...count) : [])
    }
}
