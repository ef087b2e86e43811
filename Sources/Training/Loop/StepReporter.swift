import Collectives
import Foundation
import Telemetry

/// Gathers steps into the log lines of rank 0.
struct StepReporter {
    private let totalSteps: Int
    private let lossNames: [String]
    private let log: RunLog
    private var meter: ProgressMeter
    private var lossSums: [Double]
    private var samples = 0
    private var images: Int
    private var computeSeconds = 0.0
    private var bytesSent = 0
    /// Of the present epoch.
    private var anchors = (atHand: 0, samples: 0, seconds: 0.0)
    /// Mean total loss of the last line; nil before the first.
    private(set) var lastLoss: Double?

    init(totalSteps: Int, firstStep: Int, images: Int, lossNames: [String], log: RunLog) {
        (self.totalSteps, self.lossNames, self.log) = (totalSteps, lossNames, log)
        self.images = images
        meter = ProgressMeter(totalSteps: totalSteps, firstStep: firstStep, clock: .system())
        lossSums = [Double](repeating: 0, count: 1 + lossNames.count)
    }

    /// Counts a step.
    mutating func add(_ step: Trainer.StepOutcome) {
        for index in lossSums.indices { lossSums[index] += step.lossSums[index] }
        samples += step.contributingSamples
        images += step.images
        computeSeconds += step.seconds.compute
        anchors.atHand += step.anchorsAtHand
        anchors.samples += step.contributingSamples
        anchors.seconds += step.seconds.compute + step.seconds.wait + step.seconds.peers + step.seconds.communication
        meter.endStep(
            images: step.images, dataWait: step.seconds.wait, peerWait: step.seconds.peers,
            communication: step.seconds.communication)
        bytesSent += step.bytesSent
    }

    /// Says how many anchor embeddings of an epoch were at hand, and how fast it went; starts counting anew.
    mutating func reportAnchors(epoch: Int) {
        let rate = anchors.seconds > 0 ? Double(anchors.samples) / anchors.seconds : 0
        log.message(
            .info,
            "epoch \(epoch + 1): \(anchors.atHand) of \(anchors.samples) anchor embeddings were at hand, "
                + "\(String(format: "%.2f", rate)) img/s")
        anchors = (0, 0, 0)
    }

    /// Writes the interval's line; collective, because ranks compare their times and memory.
    mutating func report(_ step: Trainer.StepOutcome, communicator: any Communicator) throws {
        communicator.phase = "report \(step.step)"
        let mine = [Float(computeSeconds), Float(ProcessMemory.peakResidentBytes() >> 20)]
        let all = try communicator.allGather(floats: mine)
        let times = all.enumerated().map { (rank: $0.offset, seconds: Double($0.element[0])) }
        let slowest = times.max { ($0.seconds, $1.rank) < ($1.seconds, $0.rank) }
        let fastest = times.min { ($0.seconds, $0.rank) < ($1.seconds, $1.rank) }
        let mean = lossSums.map { samples > 0 ? $0 / Double(samples) : .nan }
        lastLoss = mean[0]
        log.record(
            .step(
                StepRecord(
                    step: step.step + 1, totalSteps: totalSteps, epoch: step.epoch, imagesSeen: images, loss: mean[0],
                    lossParts: zip(lossNames, mean.dropFirst()).map { LossPart($0, $1) },
                    learningRate: step.learningRate, interval: meter.takeInterval(),
                    slowestRank: all.count > 1 ? slowest.map { .init(rank: $0.rank, seconds: $0.seconds) } : nil,
                    fastestRank: all.count > 1 ? fastest.map { .init(rank: $0.rank, seconds: $0.seconds) } : nil,
                    peakMemoryBytes: (all.map { Int($0[1]) }.max() ?? 0) << 20, sentBytes: bytesSent)))
        lossSums = lossSums.map { _ in 0 }
        (samples, computeSeconds, bytesSent) = (0, 0, 0)
    }

    /// Stops the clock for an evaluation.
    mutating func pause() { meter.pause() }
    /// Lets the clock run on.
    mutating func resume() { meter.resume() }
}
