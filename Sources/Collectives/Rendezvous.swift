import Foundation

/// One rank's contribution to a rendezvous of threads.
struct Posting: Sendable {
    var header: CollectiveHeader?
    var bytes: [UInt8] = []
    var counts: [Int] = []
}

/// The rendezvous of the threads of an `InProcessCommunicator`.
///
/// A rendezvous is complete when every rank has posted; each then takes the same list of postings. The next one can
/// only complete after all ranks have taken this list, because each must post again first. After a rank fails or
/// finishes, no rendezvous can complete, and all that wait or come later get an error.
final class Rendezvous: @unchecked Sendable {
    private let condition = NSCondition()
    private let ranks: Int
    private var posted: [Posting?]
    private var completed: [Posting] = []
    private var meetings = 0
    private var departure: (rank: Int, reason: String)?
    private var firstError: (any Error)?

    init(ranks: Int) {
        self.ranks = ranks
        posted = [Posting?](repeating: nil, count: ranks)
    }

    /// The first error that ended the group.
    var error: (any Error)? { condition.withLock { firstError } }

    /// Adds a posting and returns those of all ranks, in rank order.
    func meet(_ posting: Posting, rank: Int, operation: String) throws -> [Posting] {
        try condition.withLock {
            if let departure { throw departed(departure, rank: rank, operation: operation) }
            posted[rank] = posting
            if posted.allSatisfy({ $0 != nil }) {
                completed = posted.compactMap { $0 }
                posted = [Posting?](repeating: nil, count: ranks)
                meetings += 1
                condition.broadcast()
                return completed
            }
            let meeting = meetings
            while meetings == meeting {
                if let departure { throw departed(departure, rank: rank, operation: operation) }
                condition.wait()
            }
            return completed
        }
    }

    /// Records that a rank left, with its error or because its work is done.
    func leave(rank: Int, error: (any Error)?) {
        condition.withLock {
            if let error, firstError == nil { firstError = error }
            if departure == nil {
                departure = (rank, error.map { "has failed (\($0))" } ?? "has finished its work")
            }
            condition.broadcast()
        }
    }

    private func departed(
        _ departure: (rank: Int, reason: String), rank: Int, operation: String
    ) -> CollectivesError {
        CollectivesError(
            .peerFailed, operation: operation, rank: rank, host: localHostName(),
            reason: "rank \(departure.rank) \(departure.reason), so this operation cannot complete",
            remedy: "look at that rank's error; all ranks must perform the same operations")
    }
}
