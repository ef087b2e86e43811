import Foundation
import Synchronization
import Telemetry
import Testing

/// A clock advanced by the test.
final class ManualClock: Sendable {
    private let now = Mutex(Duration.zero)

    var clock: RunClock {
        RunClock(monotonic: { self.now.withLock { $0 } }, wall: { Date(timeIntervalSince1970: 1_700_000_000.25) })
    }

    func advance(_ seconds: Double) { now.withLock { $0 += .milliseconds(Int(seconds * 1000)) } }
}

@Suite struct ProgressMeterTests {
    @Test func rateSharesAndRemainingTimeOfAnInterval() {
        let time = ManualClock()
        var meter = ProgressMeter(totalSteps: 10, clock: time.clock)
        for _ in 0..<2 {
            time.advance(2)
            meter.endStep(images: 8, dataWait: 0.5, communication: 0.2)
        }
        let interval = meter.takeInterval()
        #expect(abs(interval.seconds - 4) < 1e-9)
        #expect(abs(interval.imagesPerSecond - 4) < 1e-9)
        #expect(abs(interval.dataWaitFraction - 0.25) < 1e-9)
        #expect(abs(interval.communicationFraction - 0.1) < 1e-9)
        #expect(abs((interval.remainingSeconds ?? 0) - 16) < 1e-9)
    }

    @Test func pausesCountNowhere() {
        let time = ManualClock()
        var meter = ProgressMeter(totalSteps: 4, clock: time.clock)
        time.advance(1)
        meter.pause()
        time.advance(100)
        meter.resume()
        time.advance(1)
        meter.endStep(images: 4, dataWait: 0, communication: 0)
        let interval = meter.takeInterval()
        #expect(abs(interval.seconds - 2) < 1e-9)
        #expect(abs((interval.remainingSeconds ?? 0) - 6) < 1e-9)
    }

    @Test func anEmptyIntervalHasNoRate() {
        var meter = ProgressMeter(totalSteps: 4, clock: ManualClock().clock)
        let interval = meter.takeInterval()
        #expect(interval.imagesPerSecond == 0)
        #expect(interval.remainingSeconds == nil)
    }

    @Test func newerStepsWeighMore() throws {
        let time = ManualClock()
        var meter = ProgressMeter(totalSteps: 41, firstStep: 0, clock: time.clock)
        for step in 0..<40 {
            time.advance(step < 20 ? 1 : 3)
            meter.endStep(images: 1, dataWait: 0, communication: 0)
        }
        let remaining = try #require(meter.takeInterval().remainingSeconds)
        #expect(remaining > 2.7 && remaining < 3)
    }

    @Test func resumedRunsCountFromTheirFirstStep() throws {
        let time = ManualClock()
        var meter = ProgressMeter(totalSteps: 10, firstStep: 8, clock: time.clock)
        time.advance(5)
        meter.endStep(images: 1, dataWait: 0, communication: 0)
        #expect(abs(try #require(meter.takeInterval().remainingSeconds) - 5) < 1e-9)
    }

    @Test func theSystemClockMovesForward() {
        let clock = RunClock.system()
        let first = clock.monotonic()
        #expect(clock.monotonic() >= first)
    }
}
