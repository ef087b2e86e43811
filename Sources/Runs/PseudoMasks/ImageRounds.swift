import CheckpointStore
import Collectives
import Foundation
import Telemetry

/// Work on many images before training, divided among the ranks image by image, that can be stopped between two of them.
struct ImageRounds {
    let communicator: any Communicator
    let folder: RunFolder
    let isStopRequested: @Sendable () -> Bool
    let notice: @Sendable (String) -> Void

    /// Thrown when all ranks were asked to stop; what is made so far is kept.
    struct StopRequested: Error {}

    /// Seconds between two progress lines.
    private static let patience = 30.0

    /// What all ranks did.
    struct Done {
        /// Images that were worked on.
        let images: Int
        /// Sums of the counts of each piece of work.
        let counts: [Int]
        /// Seconds.
        let seconds: Double
    }

    /// This rank's part of some images.
    func share(of images: [Int]) -> [Int] {
        stride(from: communicator.rank, to: images.count, by: communicator.worldSize).map { images[$0] }
    }

    /// Creates a folder for what is made of images. Collective.
    func makeFolder(_ path: String) throws {
        if communicator.isRoot {
            try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        }
        try communicator.barrier()
    }

    /// Does a piece of work for each of some images. Collective.
    ///
    /// - Parameters:
    ///   - name: What is made, for messages.
    ///   - todo: This rank's images.
    ///   - counts: Numbers that `work` returns.
    ///   - work: Makes what belongs to an image; it writes only while the folder is in place.
    ///
    /// Throws `CollectivesError`, `StopRequested`, the error of a run whose folder is lost, and what `work` throws.
    func run(
        _ name: String, _ todo: [Int], counts: Int, _ work: (_ image: Int, _ ground: HeldFolder?) throws -> [Int]
    ) throws -> Done {
        communicator.phase = name
        let ground = HeldFolder(folder.path)
        let begin = ContinuousClock.now
        var (lastTold, own) = (begin, [Int](repeating: 0, count: counts))
        let rounds = try communicator.allMaximum([todo.count])[0]
        let total = try communicator.allGather(floats: [Float(todo.count)]).reduce(0) { $0 + Int($1[0]) }
        for round in 0..<rounds {
            communicator.activity.work(at: "finding \(name)")
            if round < todo.count {
                for (place, count) in try work(todo[round], ground).enumerated() { own[place] += count }
            }
            communicator.activity.work(at: "computing")
            let isLost = folder.lock?.loss != nil || ground.map { !$0.isInPlace } ?? false
            let wishes = try communicator.allMaximum([isStopRequested() ? 1 : 0, isLost ? 1 : 0])
            guard wishes[1] == 0 else { throw lostFolder }
            guard wishes[0] == 0 else {
                if communicator.isRoot {
                    notice(
                        "stopped on request after \(round + 1) of \(rounds) images per rank; \(name) so far are kept")
                }
                throw StopRequested()
            }
            let now = ContinuousClock.now
            guard communicator.isRoot, now - lastTold > .seconds(Self.patience), round + 1 < rounds else { continue }
            lastTold = now
            let remaining = (now - begin) / .seconds(1) * Double(rounds - round - 1) / Double(round + 1)
            notice(
                "\(name): \(min((round + 1) * communicator.worldSize, total)) of \(total) images, "
                    + "eta \(TextSink.duration(remaining))")
        }
        let all = try communicator.allGather(floats: ([todo.count] + own).map { Float($0) })
        let sums = (0...counts).map { column in all.reduce(0) { $0 + Int($1[column]) } }
        return Done(
            images: sums[0], counts: Array(sums.dropFirst()), seconds: (ContinuousClock.now - begin) / .seconds(1))
    }

    /// The error of a run whose folder was renamed, removed, or given to another.
    private var lostFolder: any Error {
        folder.lock?.loss
            ?? RunError(
                .cannotWrite, "\(folder.path) was renamed, removed or given to another run",
                remedy: "nothing more was written; choose another run.name")
    }
}
