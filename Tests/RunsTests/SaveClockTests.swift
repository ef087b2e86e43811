import Runs
import Testing

/// When checkpoints are due by time.
@Suite struct SaveClockTests {
    /// Simulates steps of one duration; returns the steps after which a save is due.
    private func saves(_ clock: SaveClock, steps: Int, of seconds: Double, cost: Double, from start: Double = 0)
        -> [Int]
    {
        var (clock, now, saves) = (clock, start, [Int]())
        clock.saved(at: start)
        for step in 1...steps {
            now += seconds
            guard clock.isDue(at: now, step: seconds) else { continue }
            saves.append(step)
            clock.saved(at: now)
            clock.note(cost: cost)
        }
        return saves
    }

    @Test func everyLongStepIsSaved() {
        #expect(saves(SaveClock(.automatic), steps: 9, of: 1.001, cost: 0.04) == Array(1...9))
        #expect(saves(SaveClock(.automatic), steps: 9, of: 60, cost: 2) == Array(1...9))
        // A disk that needs more than a tenth of the step.
        #expect(saves(SaveClock(.automatic), steps: 9, of: 2, cost: 0.5) == [1, 4, 7])
    }

    @Test(arguments: [0.001, 0.02, 0.05, 0.3, 0.99], [0.0001, 0.005, 0.04, 0.2]) func shortStepsPayOnePercent(
        seconds: Double, cost: Double
    ) {
        let steps = Int(2000 / seconds)
        let count = saves(SaveClock(.automatic), steps: steps, of: seconds, cost: cost).count
        #expect(Double(count) * cost <= 0.0101 * Double(steps) * seconds + cost)
        // At most one a second, and at least as many as the share of the time or of the age permits.
        let interval = max(1, 100 * cost, 2) + seconds
        #expect(Double(count) <= Double(steps) * seconds && Double(count) >= 2000 / interval - 2)
    }

    @Test func aLongRunOfShortStepsSavesLessOften() {
        let day = 86_400.0
        let late = saves(SaveClock(.automatic), steps: 20_000, of: 0.05, cost: 0.002, from: day)
        #expect((10...12).contains(late.count))
        #expect(saves(SaveClock(.automatic), steps: 5, of: 3, cost: 0.02, from: day) == Array(1...5))
    }

    @Test func oneSlowSaveDoesNotCount() {
        var clock = SaveClock(.automatic)
        for cost in [0.01, 5] { clock.note(cost: cost) }
        #expect(clock.isDue(at: 1.1, step: 0.1))
        clock.note(cost: 5)
        #expect(!clock.isDue(at: 400, step: 0.1) && clock.isDue(at: 501, step: 0.1))
    }

    @Test func aGivenIntervalIsKept() {
        #expect(saves(SaveClock(.seconds(120)), steps: 10, of: 50, cost: 9) == [3, 6, 9])
        #expect(saves(SaveClock(.seconds(0)), steps: 10, of: 50, cost: 0).isEmpty)
    }

    @Test func intervalsAreRead() {
        #expect(SaveInterval(rawValue: "auto") == .automatic && SaveInterval(rawValue: "120") == .seconds(120))
        #expect(SaveInterval(rawValue: "0.5")?.rawValue == "0.5" && SaveInterval(rawValue: "120.0")?.rawValue == "120")
        for text in ["", "-1", "1e7", "nan", "often"] { #expect(SaveInterval(rawValue: text) == nil) }
    }

    @Test func waitingIsBoundByTheStep() {
        let clock = SaveClock(.automatic)
        #expect(
            clock.patience(step: 0.01) == 0.02 && clock.patience(step: 2) == 0.2 && clock.patience(step: 60) == 1)
        #expect(SaveClock(.seconds(120)).patience(step: 0.01) == 0.1)
    }
}
