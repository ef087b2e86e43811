import CheckpointStore
import Collectives
import Foundation
import Glibc
import Synchronization
import Testing
import TestSupport
import WeightFiles

/// The files after saving, and which of them are accepted afterwards.
@Suite struct CheckpointStoreTests {
    private let place: TemporaryFolder
    fileprivate var folder: String { place.path }
    private static let count = 23
    private static let settings = [
        CheckpointManifest.Setting(key: "lora.rank", value: "4"), .init(key: "weights", value: "abc"),
    ]
    private let identity = CheckpointStore.Identity(settings: settings, parameterCount: count)

    init() throws {
        place = try TemporaryFolder("checkpoint-tests")
    }

    private var store: CheckpointStore { CheckpointStore(folder: folder) }
    private var names: [String] { ((try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []).sorted() }

    /// Values that identify step, kind and index.
    private static func state(_ step: Int, _ range: Range<Int> = 0..<count) -> CheckpointState {
        func values(_ kind: Float) -> [Float] { range.map { Float(step) + kind + Float($0) / 64 } }
        let skips = min(2, step)
        var state = CheckpointState(
            step: step, images: 4 * step, updates: step - skips, first: range.lowerBound, parameters: values(0.1),
            firstMoment: values(0.2), secondMoment: values(0.3))
        (state.skipsInARow, state.skips, state.badSamples) = (min(1, skips), skips, [3, step + 10])
        return state
    }

    fileprivate func save(_ step: Int, ranks: Int = 1) throws {
        let (store, identity) = (store, identity)
        try InProcessCommunicator.run(ranks: ranks) { communicator in
            let slice = ParameterSlices(count: Self.count, ranks: ranks).range(of: communicator.rank)
            let saved = try Self.save(Self.state(step, slice), store, identity, communicator)
            guard case .published = saved else {
                Issue.record("\(saved)")
                return
            }
        }
    }

    private static func save(
        _ state: CheckpointState, _ store: CheckpointStore, _ identity: CheckpointStore.Identity,
        _ communicator: any Communicator
    ) throws -> CheckpointWriter.Saved? {
        _ = try store.open(communicator: communicator)
        let writer = try CheckpointWriter(store, identity: identity, communicator: communicator)
        writer.begin(state)
        return try writer.finish()
    }

    private func resume(
        _ choice: CheckpointStore.Choice = .auto, ranks: Int = 1, _ identity: CheckpointStore.Identity? = nil,
        allowing keys: [String] = []
    ) throws -> CheckpointStore.Resumed? {
        let (store, identity) = (store, identity ?? self.identity)
        let all = try InProcessCommunicator.run(ranks: ranks) {
            try store.resume(choice, identity: identity, allowing: keys, communicator: $0)
        }
        #expect(all.allSatisfy { $0?.state == all[0]?.state && $0?.path == all[0]?.path }, "ranks got different states")
        return all[0]
    }

    @Test(arguments: [1, 2, 3, 5], [1, 2, 4]) func anyNumberOfRanksReadsWhatAnyNumberWrote(
        writers: Int, readers: Int
    ) throws {
        try save(7, ranks: writers)
        let resumed = try #require(try resume(ranks: readers))
        #expect(resumed.state == Self.state(7))
        #expect(resumed.skipped.isEmpty)
    }

    @Test func anEmptyStoreGivesNothing() throws { #expect(try resume() == nil) }

    @Test func theNewestStayAndNothingElseIsLeft() throws {
        for step in [0, 3, 12, 100] { try save(step) }
        #expect(names == ["LATEST", "step-000012", "step-000100"])
        #expect(try #require(try resume()).state.step == 100)
    }

    @Test func theBestStaysBesideTheNewest() throws {
        for (step, iou) in [(0, nil), (3, 0.5), (6, 0.7), (9, 0.7), (12, 0.6), (15, nil), (18, nil)] as [(Int, Double?)]
        {
            var state = Self.state(step)
            // For two kinds of prompt; scores of the unadapted model count only for its own checkpoint.
            state.scores = [score(0, 0.9)] + (iou.map { [score(step, $0 - 0.1), score(step, $0 + 0.1)] } ?? [])
            if step == 0 { state.scores = [] }
            _ = try Self.save(state, store, identity, SingleProcessCommunicator())
        }
        #expect(names == ["LATEST", "step-000009", "step-000015", "step-000018"])
        #expect(try CheckpointStore.manifest(of: folder + "/step-000009").score == 0.7)
        #expect(try #require(try resume()).state.scores == [score(0, 0.9)])
        let lines = try CheckpointReport.list(store).lines
        #expect(lines[2].contains("mean IoU 0.7000, the best") && !lines[0].contains("IoU"))
    }

    private func score(_ step: Int, _ iou: Double) -> CheckpointScore {
        CheckpointScore(
            step: step, prompt: "box", images: 3, instances: 5, measures: [("mean_iou", iou), ("mean_f1", iou)],
            seconds: 1.5)
    }

    /// Nothing is published before all ranks have written and sealed; rank 0 gets the outcome without a wait.
    @Test func savingHappensBesideTheTraining() throws {
        let (store, identity) = (store, identity)
        try InProcessCommunicator.run(ranks: 3) { communicator in
            _ = try store.open(communicator: communicator)
            let writer = try CheckpointWriter(store, identity: identity, communicator: communicator)
            let slice = ParameterSlices(count: Self.count, ranks: 3).range(of: communicator.rank)
            for step in [4, 5] {
                writer.begin(Self.state(step, slice))
                #expect(writer.isWriting && writer.isBusy && writer.takeOutcome() == nil)
                while !writer.isShardWritten { usleep(1000) }
                try communicator.barrier()
                #expect(try store.list().first?.step != step)
                try communicator.barrier()
                try writer.seal()
                #expect(!writer.isWriting && !writer.isShardWritten && writer.isBusy == communicator.isRoot)
                var outcome: CheckpointWriter.Saved?
                while communicator.isRoot, outcome == nil { outcome = writer.takeOutcome() }
                if communicator.isRoot {
                    guard case .published(store.folder + "/step-00000\(step)", let seconds) = outcome else {
                        Issue.record("\(String(describing: outcome))")
                        continue
                    }
                    #expect(seconds > 0 && seconds < 60)
                }
                #expect(!writer.isBusy)
                #expect(try writer.finish() == nil)
            }
        }
        #expect(try #require(try resume()).state == Self.state(5))
    }

    /// If all files are written in time a save is sealed immediately, so with long steps it is published long before
    /// the next.
    @Test func aQuickDiskNeedsNoFurtherStep() throws {
        let (store, identity) = (store, identity)
        try InProcessCommunicator.run(ranks: 2) { communicator in
            _ = try store.open(communicator: communicator)
            let writer = try CheckpointWriter(store, identity: identity, communicator: communicator)
            writer.begin(Self.state(6, ParameterSlices(count: Self.count, ranks: 2).range(of: communicator.rank)))
            try writer.seal(within: 30)
            #expect(!writer.isWriting)
            while communicator.isRoot, writer.takeOutcome() == nil { usleep(500) }
        }
        #expect(try #require(try resume()).state == Self.state(6))
    }

    @Test func goingBackSetsNewerOnesAside() throws {
        for step in [10, 12] { try save(step) }
        #expect(try #require(try resume(.path(folder + "/step-000010"))).state.step == 10)
        try save(11)
        #expect(names == ["LATEST", "stale-step-000012", "step-000010", "step-000011"])
        #expect(try #require(try resume()).state.step == 11)
    }

    @Test func damagedOnesDoNotCountAsKept() throws {
        for step in [3, 4] { try save(step) }
        try Data("x".utf8).write(to: URL(fileURLWithPath: folder + "/step-000004/manifest.json"))
        try save(5)
        #expect(names.contains("step-000003") && names.contains("step-000005"))
    }

    @Test func numbersThatAreNotFiniteAreNotSaved() throws {
        try save(3)
        var state = Self.state(4)
        state.secondMoment[7] = .infinity
        let saved = try Self.save(state, store, identity, SingleProcessCommunicator())
        guard case .failed(let reason) = saved else {
            Issue.record("\(saved)")
            return
        }
        #expect(reason.contains("not finite"))
        #expect(try #require(try resume()).state.step == 3)
    }

    @Test func aNewerFormIsRefusedNotPassedOver() throws {
        for step in [3, 4] { try save(step) }
        let file = folder + "/step-000004/manifest.json"
        let text = String(decoding: try Data(contentsOf: URL(fileURLWithPath: file)), as: UTF8.self)
        let form = "\"schema\" : \(CheckpointManifest.currentSchema)"
        try #require(text.contains(form))
        // A flipped bit in the number is damage, and the checkpoint before is used.
        let flipped = text.replacing(form, with: "\"schema\" : 7")
        try flipped.write(toFile: file, atomically: false, encoding: .utf8)
        #expect(try #require(try resume()).state.step == 3)
        // A valid manifest of another version is not skipped.
        let mark = "\"digest\" : \""
        let place = try #require(flipped.firstRange(of: mark)?.upperBound)
        let rest = flipped[flipped.index(place, offsetBy: 64)...]
        let digest = SHA256Digest()
        digest.update(Array((flipped[..<place] + rest).utf8))
        let newer = flipped[..<place] + digest.hexadecimal() + rest
        try String(newer).write(toFile: file, atomically: false, encoding: .utf8)
        #expect(try #require(throws: CheckpointError.self) { try resume() }.kind == .changed)
    }

    @Test func whatAKilledRunLeftIsNoCheckpointAndGoes() throws {
        try save(3)
        for name in [".tmp-000004-af", ".trash-step-000001-17", "step-000009"] {
            try FileManager.default.createDirectory(atPath: folder + "/" + name, withIntermediateDirectories: true)
        }
        // A folder without a manifest is reported and skipped.
        let resumed = try #require(try resume())
        #expect(resumed.state.step == 3)
        #expect(resumed.skipped.count == 1 && resumed.skipped[0].contains("step-000009/manifest.json: is missing"))
        try save(10)
        #expect(!names.contains { $0.hasPrefix(".") })
    }

    /// Every byte of a checkpoint matters: whichever is changed, the checkpoint is rejected.
    @Test func everyChangedByteIsNoticed() throws {
        try save(3)
        try save(4, ranks: 2)
        let path = folder + "/step-000004"
        for name in try FileManager.default.contentsOfDirectory(atPath: path).sorted() {
            let file = path + "/" + name
            let whole = try #require(FileManager.default.contents(atPath: file))
            for index in whole.indices {
                var damaged = whole
                damaged[index] ^= UInt8(1 << (index % 8))
                try damaged.write(to: URL(fileURLWithPath: file))
                #expect(throws: CheckpointError.self, "byte \(index) of \(name)") { try CheckpointStore.verify(path) }
            }
            for length in [0, 1, whole.count / 2, whole.count - 1] {
                try whole.prefix(length).write(to: URL(fileURLWithPath: file))
                #expect(throws: CheckpointError.self, "\(name) of \(length) bytes") { try CheckpointStore.verify(path) }
            }
            try (whole + Data([10])).write(to: URL(fileURLWithPath: file))
            #expect(throws: CheckpointError.self, "a longer \(name)") { try CheckpointStore.verify(path) }
            #expect(try #require(try resume()).state.step == 3)
            try whole.write(to: URL(fileURLWithPath: file))
        }
        #expect(try #require(try resume()).state.step == 4)
    }

    /// Files of two saves do not make a checkpoint, even if all of them are valid.
    @Test func aMixtureOfTwoSavesIsNone() throws {
        for step in [3, 4] { try save(step, ranks: 2) }
        let file = "state-01-of-02.safetensors"
        let other = try #require(FileManager.default.contents(atPath: folder + "/step-000003/" + file))
        try other.write(to: URL(fileURLWithPath: folder + "/step-000004/" + file))
        let resumed = try #require(try resume())
        #expect(resumed.state == Self.state(3))
        #expect(resumed.skipped.count == 1 && resumed.skipped[0].contains("another SHA-256"))
    }

    @Test func onlyDamagedOnesAreAnErrorNotAFreshStart() throws {
        try save(3)
        try FileManager.default.removeItem(atPath: folder + "/step-000003/state-00-of-01.safetensors")
        let error = try #require(throws: CheckpointError.self) { try resume(ranks: 2) }
        #expect(error.kind == .noneUsable)
        #expect(error.description.contains("none of 1 checkpoints can be used"))
    }

    @Test func aNamedCheckpointHasNoSubstitute() throws {
        for step in [3, 4] { try save(step) }
        #expect(try #require(try resume(.path(folder + "/step-000003"))).state.step == 3)
        try Data("x".utf8).write(to: URL(fileURLWithPath: folder + "/step-000003/manifest.json"))
        let error = try #require(throws: CheckpointError.self) { try resume(.path(folder + "/step-000003")) }
        #expect(error.kind == .damaged)
        #expect(try #require(throws: CheckpointError.self) { try resume(.path(folder + "/no")) }.kind == .missing)
    }

    @Test func anotherRunsCheckpointIsRefusedWithTheDifferences() throws {
        try save(3)
        var other = identity
        other.settings[0].value = "8"
        other.settings.append(.init(key: "data.flips", value: "none"))
        let error = try #require(throws: CheckpointError.self) { try resume(ranks: 2, other) }
        #expect(error.kind == .changed)
        #expect(error.reason.contains("lora.rank was 4, is 8; data.flips was nothing, is none"))
        #expect(try resume(other, allowing: ["lora.rank", "data.flips"]) != nil)
        other = CheckpointStore.Identity(settings: Self.settings, parameterCount: 24)
        #expect(try #require(throws: CheckpointError.self) { try resume(other) }.kind == .changed)
    }

    private func resume(
        _ identity: CheckpointStore.Identity, allowing keys: [String] = []
    ) throws -> CheckpointStore.Resumed? { try resume(.auto, ranks: 1, identity, allowing: keys) }

    private func resume(ranks: Int, _ identity: CheckpointStore.Identity) throws -> CheckpointStore.Resumed? {
        try resume(.auto, ranks: ranks, identity)
    }

    /// If no folder can be created, all ranks report it before any work.
    @Test func aStoreThatCannotBeWrittenIsRefusedOnAllRanks() throws {
        try save(3)
        let file = folder + "/blocked"
        try Data().write(to: URL(fileURLWithPath: file))
        let broken = CheckpointStore(folder: file + "/checkpoints")
        let answers = try InProcessCommunicator.run(ranks: 3) { communicator in
            #expect(throws: CheckpointError.self) { try broken.open(communicator: communicator, patience: 0.2) }
        }
        for answer in answers {
            #expect(answer?.kind == .cannotWrite)
            #expect(answer?.reason.hasPrefix("rank 0 on ") == true)
        }
        #expect(try #require(try resume()).state == Self.state(3))
    }

    @Test func theSameStepAgainTakesTheOldOnesPlace() throws {
        try save(3, ranks: 2)
        try save(3)
        #expect(names == ["LATEST", "step-000003"])
        #expect(try #require(try resume()).state == Self.state(3))
    }

    @Test func withMilestonesTheNewestTwoStayBesideThem() throws {
        for step in [0, 3, 5, 8, 10, 11, 14, 15, 16, 17] {
            let store = CheckpointStore(folder: folder, keep: 2, keptEvery: 5)
            _ = try Self.save(Self.state(step), store, identity, SingleProcessCommunicator())
        }
        #expect(names == ["LATEST", "step-000010", "step-000015", "step-000016", "step-000017"])
    }

    @Test func aLockIsHeldByOneAndNamesItsHolder() throws {
        let first = try RunLock(folder: folder)
        let error = try #require(throws: CheckpointError.self) { try RunLock(folder: folder) }
        #expect(error.kind == .locked)
        #expect(error.reason.contains("process \(ProcessInfo.processInfo.processIdentifier)"))
        withExtendedLifetime(first) {}
    }

    /// A lock left by another host is waited for; one of the same host is not.
    @Test func anotherHostsLockIsWaitedFor() throws {
        let first = try RunLock(folder: folder)
        try "host elsewhere, process 7, since ever\n".write(
            toFile: folder + "/LOCK", atomically: false, encoding: .utf8)
        let said = Mutex<[String]>([])
        let error = try #require(throws: CheckpointError.self) {
            try RunLock(folder: folder, patience: 0.6) { line in said.withLock { $0.append(line) } }
        }
        #expect(error.kind == .locked && error.remedy.contains("file server"))
        #expect(said.withLock { $0 }.map { $0.contains("host elsewhere, process 7") } == [true])
        withExtendedLifetime(first) {}
    }
}

extension CheckpointStoreTests {
    @Test func reportsNameWhatIsThereAndWhatDiffers() throws {
        for step in [3, 4] { try save(step, ranks: 2) }
        let (first, second) = (folder + "/step-000003", folder + "/step-000004")
        #expect(try CheckpointReport.difference(first, first) == [])
        let lines = try CheckpointReport.difference(first, second)
        #expect(lines.prefix(3) == ["step: 3, then 4", "images: 12, then 16", "updates: 1, then 2"])
        #expect(lines[3].hasPrefix("parameters: 23 of 23 differ, at most by 1"))
        #expect(try CheckpointReport.show(second).contains("lora.rank: 4"))
        try Data("x".utf8).write(to: URL(fileURLWithPath: second + "/manifest.json"))
        let (list, usable) = try CheckpointReport.list(CheckpointStore(folder: folder))
        #expect(usable == 1 && list.count == 2)
        #expect(list[0].contains("UNUSABLE") && list[1].contains("step 3, 12 images, written by 2 ranks"))
    }
}
