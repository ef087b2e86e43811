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

    /// The rates of CoSAM's stages: a tenth after every ten epochs, however many steps an epoch has.
    @Test func decaysByEpochs() {
        var schedule = LearningRateSchedule(base: 1e-3, warmUpSteps: 0, decaySteps: [], decayFactor: 0.1)
        schedule.decayEpochs = [10, 20]
        let rates = (0..<24).map { schedule.rate(at: 7 * $0 + 3, epoch: $0) }
        for (epoch, rate) in rates.enumerated() {
            #expect(abs(rate / (epoch < 10 ? 1e-3 : epoch < 20 ? 1e-4 : 1e-5) - 1) < 1e-12, "epoch \(epoch)")
        }
        schedule.decaySteps = [40]
        #expect(
            abs(schedule.rate(at: 39, epoch: 9) - 1e-3) < 1e-15 && abs(schedule.rate(at: 40, epoch: 10) - 1e-5) < 1e-15)
    }

    @Test func noWarmUpStartsAtFullRate() {
        #expect(LearningRateSchedule(base: 0.5, warmUpSteps: 0, decaySteps: [], decayFactor: 1).rate(at: 0) == 0.5)
    }
}
