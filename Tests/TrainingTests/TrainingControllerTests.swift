import Testing
import Training

@Suite struct TrainingControllerTests {
    typealias Report = TrainingController.StepReport
    typealias Message = TrainingController.ControlMessage

    func controller(steps: Int = 10, log: Int = 2, evaluate: Int = 4, skips: Int = 0) -> TrainingController {
        TrainingController(plan: .init(totalSteps: steps, logEvery: log, evaluateEvery: evaluate, maximumSkips: skips))
    }

    func report(_ step: Int, nonFinite: [Int] = [], stop: Bool = false, samples: Int = 4) -> Report {
        Report(step: step, contributingSamples: samples, nonFiniteRanks: nonFinite, isStopRequested: stop)
    }

    @Test func anOrdinaryRun() {
        var controller = controller()
        let messages = (0..<10).map { controller.decide(report($0)) }
        #expect(messages.allSatisfy { $0.appliesUpdate })
        #expect(messages.map(\.logs) == [false, true, false, true, false, true, false, true, false, true])
        #expect(messages.indices.filter { messages[$0].evaluates } == [3, 7, 9])
        #expect(messages.map(\.stop) == [Message.Stop?](repeating: nil, count: 9) + [.finished])
    }

    @Test func aNumberThatIsNotFiniteStopsBeforeTheUpdate() {
        var controller = controller()
        #expect(
            controller.decide(report(0, nonFinite: [1]))
                == Message(appliesUpdate: false, logs: true, evaluates: false, stop: .nonFinite))
    }

    @Test func skipsAreCountedInARow() {
        var controller = controller(steps: 100, log: 1, evaluate: 0, skips: 2)
        for step in [0, 1] { #expect(controller.decide(report(step, nonFinite: [0])).stop == nil) }
        #expect(controller.decide(report(2)).appliesUpdate)
        for step in [3, 4] { #expect(!controller.decide(report(step, nonFinite: [0])).appliesUpdate) }
        #expect(controller.decide(report(5, nonFinite: [0])).stop == .nonFinite)
        #expect(controller.skips == 5)
    }

    @Test func aRequestEndsTheRunAfterTheStep() {
        var controller = controller()
        let message = controller.decide(report(3, stop: true))
        #expect(message == Message(appliesUpdate: true, logs: true, evaluates: false, saves: true, stop: .requested))
    }

    @Test func checkpointsAreSavedByStepsByTheClockAndAtTheEnd() {
        var controller = TrainingController(
            plan: .init(totalSteps: 8, logEvery: 1, evaluateEvery: 0, maximumSkips: 0, saveEvery: 3))
        let saves = (0..<8).map { step in
            var report = report(step)
            report.saving.isDue = step == 3
            return controller.decide(report).saves
        }
        #expect(saves == [false, false, true, true, false, true, false, true])
    }

    @Test func aBatchWithoutInstancesChangesNothing() {
        var controller = controller()
        #expect(!controller.decide(report(0, samples: 0)).appliesUpdate)
        #expect(controller.emptyBatches == 1 && controller.skips == 0)
    }

    /// Nothing of the step counts, so that the checkpoint before it remains the run's last word.
    @Test func aLostFolderEndsTheRunAtOnce() {
        var controller = controller()
        var lost = report(9, nonFinite: [0], samples: 0)
        (lost.badSamples, lost.saving.isFolderLost, lost.saving.isDue) = ([4], true, true)
        #expect(
            controller.decide(lost) == Message(appliesUpdate: false, logs: false, evaluates: false, stop: .folderLost))
        #expect(controller.skips == 0 && controller.emptyBatches == 0 && controller.badSamples.isEmpty)
    }

    @Test func imagesLeftOutAreCountedOnceUpToTheLimit() {
        var controller = TrainingController(
            plan: .init(totalSteps: 9, logEvery: 1, evaluateEvery: 0, maximumSkips: 0, maximumBadSamples: 3),
            badSamples: [8])
        func decide(_ step: Int, _ bad: [Int]) -> Message {
            var report = report(step)
            report.badSamples = bad
            return controller.decide(report)
        }
        #expect(decide(0, [5, 2]).stop == nil)
        #expect(decide(1, [2, 8]).appliesUpdate)
        #expect(controller.badSamples == [2, 5, 8])
        #expect(
            decide(2, [5, 1])
                == Message(appliesUpdate: false, logs: false, evaluates: false, saves: true, stop: .badData))
        // The step counts as not done: its findings recur.
        #expect(controller.badSamples == [2, 5, 8])
        #expect(decide(2, [5]).stop == nil)
    }

    @Test func withoutAPolicyTheFirstBadImageStops() {
        var controller = controller()
        var report = report(0)
        report.badSamples = [4]
        #expect(controller.decide(report).stop == .badData)
        #expect(controller.badSamples.isEmpty)
    }

    @Test func messagesSurviveTheBroadcast() {
        for stop: Message.Stop? in [nil, .finished, .requested, .nonFinite, .cannotSave, .badData, .folderLost] {
            let message = Message(appliesUpdate: true, logs: false, evaluates: true, saves: stop == nil, stop: stop)
            #expect(Message(bytes: message.bytes) == message)
        }
        #expect(Message(bytes: [1, 0, 0, 0]) == nil)
        #expect(Message(bytes: [2, 0, 0, 0, 0]) == nil)
        #expect(Message(bytes: [0, 0, 0, 2, 0]) == nil)
    }
}
