import Testing
import Training

@Suite struct LearningRateScheduleTests {
    /// The oracle of the method's specification: steps 0, 1, 125, 250.
    @Test func officialSchedule() {
        let schedule = LearningRateSchedule(
            base: 1e-4, warmUpSteps: 250, decaySteps: [60_000, 86_666], decayFactor: 0.1)
        for (step, rate) in [
            (0, 0), (1, 4e-7), (125, 5e-5), (250, 1e-4), (59_999, 1e-4), (60_000, 1e-5), (86_666, 1e-6),
        ] {
            #expect(abs(schedule.rate(at: step) - rate) <= 1e-12)
        }
    }

    @Test func noWarmUpStartsAtFullRate() {
        #expect(LearningRateSchedule(base: 0.5, warmUpSteps: 0, decaySteps: [], decayFactor: 1).rate(at: 0) == 0.5)
    }
}
