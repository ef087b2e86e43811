public import Collectives
import FaultInjection
import Foundation
import Glibc
import Machine
import Synchronization

/// Writes checkpoints concurrently with training.
///
/// A save has three stages, so that no rank waits for a disk:
/// 1. `begin` passes a copy of the rank's slice to a separate thread, which writes and flushes the rank's file.
/// 2. Once all ranks' files are written, `seal` gathers sizes and digests, and rank 0's thread writes the manifest and
///    renames the folder. `seal(within:)` does so immediately if the disk is fast; otherwise ranks report in the
///    exchange of every step whether their file is written.
/// 3. Rank 0 collects the outcome as soon as it is available.
///
/// A run of one rank has nothing to gather: its thread publishes as soon as the file is written.
///
/// `finish` completes the remaining stages immediately, for a run that may not continue without them.
public final class CheckpointWriter {
    /// The outcome of a save.
    public enum Saved: Codable, Sendable, Equatable {
        /// The checkpoint was published under this path, so many seconds after `begin`.
        case published(path: String, seconds: Double)
        /// Nothing new was published, nothing older was touched.
        case failed(reason: String)
        /// The run's folder is no longer its own.
        case lost(CheckpointError)
    }

    private enum Stage {
        case idle
        /// From `begin` to `seal`, on all ranks.
        case writing
        /// From `seal` until the outcome is collected, on rank 0.
        case publishing
    }

    /// State shared by the training and the writing thread.
    private final class Board: Sendable {
        let report = Mutex<CheckpointStore.ShardReport?>(nil)
        let outcome = Mutex<Saved?>(nil)
        /// Processor time of the writing thread for this save, in seconds.
        let work = Mutex(0.0)

        /// Runs a part of the save and counts its processor time.
        func work(_ body: () -> Void) {
            let begin = Self.threadSeconds()
            body()
            let seconds = Self.threadSeconds() - begin
            work.withLock { $0 += seconds }
        }

        private static func threadSeconds() -> Double {
            var time = timespec()
            clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
            return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
        }
    }

    private let store: CheckpointStore
    private let identity: CheckpointStore.Identity
    private let communicator: any Communicator
    private let nonce: String
    private let queue: SerialThread
    private let board = Board()
    private var stage = Stage.idle
    private var slice: CheckpointState?
    private var begun = ContinuousClock.now

    /// Creates a writer for a store that was opened. Collective.
    ///
    /// Throws `CollectivesError`, and `ResourceShortage` if the system refuses the writing thread.
    public init(
        _ store: CheckpointStore, identity: CheckpointStore.Identity, communicator: any Communicator
    ) throws {
        (self.store, self.identity, self.communicator) = (store, identity, communicator)
        queue = try SerialThread("kedge-save")
        // No two runs write into one folder, not even if one was believed dead.
        let mine = communicator.isRoot ? String(UInt64.random(in: 0...UInt64.max), radix: 16) : ""
        nonce = String(decoding: try communicator.broadcast(bytes: Array(mine.utf8), from: 0), as: UTF8.self)
    }

    /// True from `begin` to `seal`; the same on all ranks.
    public var isWriting: Bool { stage == .writing }
    /// True while a save is in progress, as far as this rank knows; only rank 0 knows for certain.
    public var isBusy: Bool { stage != .idle }
    /// True if the outcome of a save can be taken.
    public var hasOutcome: Bool { stage == .publishing && board.outcome.withLock { $0 != nil } }
    /// The processor time that this rank's thread has spent on the latest save, in seconds.
    public var workSeconds: Double { board.work.withLock { $0 } }
    /// True if this rank's file is written, or has failed.
    public var isShardWritten: Bool { stage == .writing && board.report.withLock { $0 != nil } }

    /// Starts a save of this rank's slice. Every rank calls it after the same step, while no save is in progress.
    public func begin(_ slice: CheckpointState) {
        precondition(stage != .writing, "a save is under way")
        board.report.withLock { $0 = nil }
        board.outcome.withLock { $0 = nil }
        board.work.withLock { $0 = 0 }
        let (store, board, rank, worldSize) = (store, board, communicator.rank, communicator.worldSize)
        (stage, self.slice, begun) = (worldSize > 1 ? .writing : .publishing, slice, .now)
        let temporary = store.temporaryFolder(step: slice.step, nonce: nonce)
        queue.async {
            board.work {
                let report = FaultInjector.$step.withValue(slice.step) {
                    store.writeShard(slice, rank: rank, of: worldSize, into: temporary)
                }
                board.report.withLock { $0 = report }
            }
        }
        if worldSize == 1 {
            publish(slice) { board.report.withLock { $0.map { [$0] } } ?? [] }
        }
    }

    /// Seals immediately if the files of all ranks are written in time. Collective.
    ///
    /// - Parameter patience: Seconds a rank waits for its own file.
    ///
    /// Throws `CollectivesError`.
    public func seal(within patience: Double) throws {
        guard stage == .writing, let slice else { return }
        let deadline = ContinuousClock.now + .seconds(patience)
        while !isShardWritten, ContinuousClock.now < deadline { usleep(500) }
        communicator.phase = "checkpoint \(slice.step)"
        if try communicator.allMinimum([isShardWritten ? 1 : 0]) == [1] { try seal() }
    }

    /// Gathers the ranks' reports and lets rank 0 publish the checkpoint. Collective; waits for this rank's file.
    ///
    /// Throws `CollectivesError`.
    public func seal() throws {
        guard stage == .writing, let slice else { return }
        communicator.phase = "checkpoint \(slice.step)"
        queue.finish()
        guard let report = board.report.withLock({ $0 }) else { preconditionFailure("no report of a shard") }
        let reports = try communicator.allGather(bytes: Array(try JSONEncoder().encode(report))).map {
            try JSONDecoder().decode(CheckpointStore.ShardReport.self, from: Data($0))
        }
        self.slice = nil
        stage = communicator.isRoot ? .publishing : .idle
        if communicator.isRoot { publish(slice) { reports } }
    }

    /// Lets this rank's thread publish a checkpoint, or remove its remains if a rank's file is missing.
    private func publish(_ slice: CheckpointState, _ reports: @escaping @Sendable () -> [CheckpointStore.ShardReport]) {
        let (store, identity, board, begun) = (store, identity, board, begun)
        let (temporary, hosts) = (store.temporaryFolder(step: slice.step, nonce: nonce), communicator.hostNames)
        queue.async {
            board.work {
                let reports = reports()
                if let rank = reports.firstIndex(where: { !$0.fault.isEmpty }) {
                    CheckpointStore.remove(temporary)
                    let reason = "rank \(rank) on \(hosts[rank]): \(reports[rank].fault)"
                    board.outcome.withLock { $0 = store.loss.map { .lost($0) } ?? .failed(reason: reason) }
                    return
                }
                FaultInjector.$step.withValue(slice.step) {
                    do throws(CheckpointError) {
                        let path = try store.publish(slice, identity, reports.map(\.shard), from: temporary)
                        let seconds = (ContinuousClock.now - begun) / .seconds(1)
                        board.outcome.withLock { $0 = .published(path: path, seconds: seconds) }
                        store.retain(after: slice.step)
                    } catch {
                        board.outcome.withLock {
                            $0 = error.kind == .locked ? .lost(error) : .failed(reason: error.description)
                        }
                    }
                }
            }
        }
    }

    /// The outcome of a sealed save, once, as soon as it is available; nil on ranks other than 0.
    public func takeOutcome() -> Saved? {
        guard stage == .publishing, let outcome = board.outcome.withLock({ $0 }) else { return nil }
        stage = .idle
        return outcome
    }

    /// Waits for the save in progress; returns its outcome on all ranks, nil if there was none to report. Collective.
    ///
    /// Throws `CollectivesError`.
    public func finish() throws -> Saved? {
        try seal()
        communicator.phase = "checkpoint"
        if stage == .publishing { queue.finish() }
        let mine = try JSONEncoder().encode(takeOutcome().map { [$0] } ?? [])
        let told = try communicator.broadcast(bytes: Array(mine), from: 0)
        return try JSONDecoder().decode([Saved].self, from: Data(told)).first
    }
}
