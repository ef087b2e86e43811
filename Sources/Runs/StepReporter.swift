import Collectives
import Foundation
import Machine
import Telemetry
import Training

/// Aggregates steps into the log lines of rank 0.
struct StepReporter {
    private let totalSteps: Int
    private let lossNames: [String]
    private let log: RunLog
    private var meter: ProgressMeter
    private var lossSums: [Double]
    private var samples = 0
    private var images: Int
    /// Images at the last line.
    private var imagesBefore: Int
    private var pace: RankPace
    private var badImages = 0
    /// Names of images that gave nothing to learn in the interval.
    private var empty: [String] = []
    /// Created with the first line, when ranks exchange their locations.
    private var watch: StragglerWatch?
    private var bytesSent = 0
    /// Counts of the current epoch.
    private var anchors = (reused: 0, samples: 0, seconds: 0.0)
    /// Mean total loss of the last line; nil before the first.
    private(set) var lastLoss: Double?

    init(totalSteps: Int, firstStep: Int, images: Int, lossNames: [String], threads: Int, log: RunLog) {
        (self.totalSteps, self.lossNames, self.log) = (totalSteps, lossNames, log)
        (self.images, imagesBefore) = (images, images)
        pace = RankPace(compute: 0, wait: 0, samples: 0, instances: 0, anchorsReused: 0, threads: threads)
        meter = ProgressMeter(totalSteps: totalSteps, firstStep: firstStep, clock: .system())
        lossSums = [Double](repeating: 0, count: 1 + lossNames.count)
    }

    /// Counts a step.
    mutating func add(_ step: StepOutcome) {
        for index in lossSums.indices { lossSums[index] += step.lossSums[index] }
        samples += step.contributingSamples
        images += step.images
        pace.compute += step.seconds.compute
        pace.wait += step.seconds.wait
        pace.samples += step.own.samples
        pace.instances += step.own.instances
        pace.anchorsReused += step.own.anchorsReused
        badImages = step.badImages
        empty += step.empty
        anchors.reused += step.anchorsReused
        anchors.samples += step.contributingSamples
        anchors.seconds += step.seconds.compute + step.seconds.wait + step.seconds.peers + step.seconds.communication
        meter.endStep(
            images: step.images, dataWait: step.seconds.wait, peerWait: step.seconds.peers,
            communication: step.seconds.communication)
        bytesSent += step.bytesSent
    }

    /// Reports how many anchor embeddings of an epoch came from the store, and the epoch's speed; resets the counts.
    mutating func reportAnchors(epoch: Int) {
        log.fact(
            AnchorReuseFact(
                epoch: epoch + 1, reused: anchors.reused, images: anchors.samples,
                imagesPerSecond: anchors.seconds > 0 ? Double(anchors.samples) / anchors.seconds : 0))
        anchors = (0, 0, 0)
    }

    /// Writes the interval's line; collective, because it compares the ranks' times and memory.
    mutating func report(_ step: StepOutcome, stage: String?, communicator: any Communicator) throws {
        communicator.phase = "report \(step.step)"
        let all = try communicator.allGather(floats: pace.floats + [Float(ProcessMemory.peakResidentBytes() >> 20)])
        let paces = all.map { RankPace($0) }
        let verdict = try look(at: paces, communicator)
        let mean = lossSums.map { samples > 0 ? $0 / Double(samples) : .nan }
        lastLoss = mean[0]
        var record = StepRecord(
            step: step.step + 1, totalSteps: totalSteps, epoch: step.epoch, imagesSeen: images, loss: mean[0],
            lossParts: zip(lossNames, mean.dropFirst()).map { LossPart($0, $1) },
            learningRate: step.learningRate, interval: meter.takeInterval())
        if all.count > 1 {
            // A rank without samples is neither fast nor slow.
            let times = paces.enumerated().filter { $0.element.samples > 0 }.map {
                StepRecord.RankTime(rank: $0.offset, seconds: $0.element.compute)
            }
            record.slowestRank = times.max { ($0.seconds, $1.rank) < ($1.seconds, $0.rank) }
            record.fastestRank = times.min { ($0.seconds, $0.rank) < ($1.seconds, $1.rank) }
        }
        record.peakMemoryBytes = (all.compactMap { $0.last.map { Int($0) } }.max() ?? 0) << 20
        (record.sentBytes, record.computeRatio) = (bytesSent, verdict.ratio)
        (record.badImages, record.stage) = (badImages, stage)
        log.record(.step(record))
        if let warning = verdict.warning, communicator.isRoot { log.warning(warning) }
        if communicator.isRoot, let line = emptyLine(of: images - imagesBefore) { log.warning(line) }
        lossSums = lossSums.map { _ in 0 }
        (samples, bytesSent, imagesBefore, empty) = (0, 0, images, [])
        pace = RankPace(compute: 0, wait: 0, samples: 0, instances: 0, anchorsReused: 0, threads: pace.threads)
    }

    /// Says which of an interval's images gave nothing to learn; nil if all did.
    private func emptyLine(of images: Int) -> String? {
        guard !empty.isEmpty else { return nil }
        let named = empty.prefix(5).joined(separator: ", ") + (empty.count > 5 ? " and \(empty.count - 5) more" : "")
        return "\(empty.count) of \(images) views hold no labelled object and teach nothing: \(named)"
    }

    /// Compares the ranks' paces; collective the first time.
    private mutating func look(
        at paces: [RankPace], _ communicator: any Communicator
    ) throws -> StragglerWatch.Verdict {
        guard communicator.worldSize > 1 else { return StragglerWatch.Verdict() }
        if watch == nil {
            let place = RankPlace(host: communicator.hostName, affinity: .current())
            let places = try communicator.allGather(bytes: Array(try JSONEncoder().encode(place))).map {
                try JSONDecoder().decode(RankPlace.self, from: Data($0))
            }
            watch = StragglerWatch(places: places, nodeOfRank: communicator.nodeOfRank)
        }
        return watch?.observe(paces) ?? StragglerWatch.Verdict()
    }

    /// Pauses the clock for an evaluation.
    mutating func pause() { meter.pause() }
    /// Resumes the clock.
    mutating func resume() { meter.resume() }
}

extension RankPace {
    /// The numbers as exchanged between ranks.
    fileprivate var floats: [Float] {
        [Float(compute), Float(wait)] + [samples, instances, anchorsReused, threads].map { Float($0) }
    }

    /// Reads what `floats` wrote.
    fileprivate init(_ floats: [Float]) {
        self.init(
            compute: Double(floats[0]), wait: Double(floats[1]), samples: Int(floats[2]), instances: Int(floats[3]),
            anchorsReused: Int(floats[4]), threads: Int(floats[5]))
    }
}
