/// The division of a parameter vector into one contiguous slice per rank; slice `r` belongs to rank `r`.
///
/// The first `count % ranks` slices hold one element more than the others; with more ranks than elements some are empty.
public struct ParameterSlices: Equatable, Sendable {
    /// The length of the vector.
    public let count: Int
    /// The number of slices.
    public let ranks: Int

    /// Cuts a vector of `count` elements for `ranks` owners.
    public init(count: Int, ranks: Int) {
        precondition(count >= 0 && ranks > 0, "cannot cut \(count) elements into \(ranks) slices")
        self.count = count
        self.ranks = ranks
    }

    /// The elements that rank `rank` owns.
    public func range(of rank: Int) -> Range<Int> {
        precondition((0..<ranks).contains(rank), "rank \(rank) does not exist among \(ranks) ranks")
        let (size, larger) = count.quotientAndRemainder(dividingBy: ranks)
        let start = rank * size + min(rank, larger)
        return start..<start + size + (rank < larger ? 1 : 0)
    }

    /// The length of every slice, in rank order.
    public var counts: [Int] { (0..<ranks).map { range(of: $0).count } }
}
