import CheckpointStore
import Collectives
import Foundation
import Testing
import TestSupport
import WeightFiles

/// Checkpoints whose digests are right and whose counts contradict each other.
@Suite struct ForgedCheckpointTests {
    private let place: TemporaryFolder
    private var folder: String { place.path }

    init() throws { place = try TemporaryFolder("forged-tests") }

    private var identity: CheckpointStore.Identity {
        CheckpointStore.Identity(
            settings: [.init(key: "lora.rank", value: "4")], parameterCount: 3, images: { 4 * $0 })
    }

    private func state(_ step: Int) -> CheckpointState {
        var state = CheckpointState(
            step: step, images: 4 * step, updates: step - 3, first: 0, parameters: [1, 2, 3], firstMoment: [1, -1, 0],
            secondMoment: [1, 0, 2])
        (state.skips, state.emptyBatches) = (1, 2)
        return state
    }

    private func save(_ state: CheckpointState, _ identity: CheckpointStore.Identity? = nil) throws {
        let communicator = try SingleProcessCommunicator()
        let store = CheckpointStore(folder: folder, keep: 9)
        _ = try store.open(communicator: communicator)
        let writer = try CheckpointWriter(store, identity: identity ?? self.identity, communicator: communicator)
        writer.begin(state)
        guard case .published = try writer.finish() else { throw CheckpointError.link(folder, "not saved") }
    }

    private func resume(_ choice: CheckpointStore.Choice = .auto, allowing keys: [String] = []) throws
        -> CheckpointStore.Resumed?
    {
        try CheckpointStore(folder: folder).resume(
            choice, identity: identity, allowing: keys, communicator: SingleProcessCommunicator())
    }

    /// Replaces numbers of a manifest, with a digest that is right again.
    private func forge(_ path: String, _ changes: [(key: String, value: Int)]) throws {
        let file = path + "/manifest.json"
        var text = try String(contentsOfFile: file, encoding: .utf8)
        for change in changes {
            let place = try #require(text.firstRange(of: "\"\(change.key)\" : "))
            let end = try #require(text[place.upperBound...].firstIndex { !$0.isNumber })
            text.replaceSubrange(place.upperBound..<end, with: String(change.value))
        }
        let place = try #require(text.firstRange(of: "\"digest\" : \"")?.upperBound)
        let end = text.index(place, offsetBy: 64)
        let digest = SHA256Digest()
        digest.update(Array((text[..<place] + text[end...]).utf8))
        text.replaceSubrange(place..<end, with: digest.hexadecimal())
        try text.write(toFile: file, atomically: false, encoding: .utf8)
    }

    @Test(
        arguments: [
            ([("step", 7)], "states step 7, but 17 updates"),
            ([("step", 7), ("updates", 4)], "its folder's name says 20"),
            ([("updates", 0)], "0 updates"), ([("updates", 21)], "21 updates"), ([("skips", 0)], "0 skipped"),
            ([("emptyBatches", 1)], "1 without a gradient"), ([("images", 1)], "only 1 images"),
            ([("images", 79)], "this run has seen 80"), ([("images", 84)], "this run has seen 80"),
            ([("updates", 0), ("skips", 18)], "no update"),
        ] as [([(String, Int)], String)]) func aForgedCountIsNoticed(changes: [(String, Int)], reason: String) throws
    {
        for step in [10, 20] { try save(state(step)) }
        try forge(folder + "/step-000020", changes.map { (key: $0.0, value: $0.1) })
        let resumed = try #require(try resume())
        #expect(resumed.state == state(10))
        #expect(resumed.skipped.count == 1 && resumed.skipped[0].contains(reason), "\(resumed.skipped)")
        let error = try #require(throws: CheckpointError.self) { try resume(.path(folder + "/step-000020")) }
        #expect(error.kind == .damaged)
    }

    /// A folder whose name is forged too: the counts do not fit the run.
    @Test func aForgedNameIsNoticed() throws {
        for step in [10, 20] { try save(state(step)) }
        try forge(folder + "/step-000020", [("step", 15)])
        try FileManager.default.moveItem(atPath: folder + "/step-000020", toPath: folder + "/step-000015")
        #expect(try #require(try resume()).state == state(10))
        try forge(folder + "/step-000015", [("step", 15), ("updates", 12)])
        #expect(try #require(try resume()).skipped.contains { $0.contains("80 images, but this run has seen 60") })
    }

    @Test func negativeMeansOfSquaresAreNoticed() throws {
        try save(state(10))
        var forged = state(20)
        forged.secondMoment[2] = -1e-9
        try save(forged)
        let resumed = try #require(try resume())
        #expect(resumed.state == state(10))
        #expect(resumed.skipped.contains { $0.contains("negative means of squares") })
    }

    /// A copy under a name of its own has only its contents to be judged by.
    @Test func anotherNameIsNoFault() throws {
        try save(state(10))
        try FileManager.default.moveItem(atPath: folder + "/step-000010", toPath: folder + "/backup")
        #expect(try #require(try resume(.path(folder + "/backup"))).state == state(10))
    }

    /// After an allowed change the number of images follows from nothing, now and later.
    @Test func anAllowedChangeEndsTheComparisonOfImages() throws {
        var odd = state(10)
        odd.images = 55
        try save(odd)
        #expect(throws: CheckpointError.self) { try resume() }
        let resumed = try #require(try resume(allowing: ["lora.rank"]))
        #expect(resumed.changedKeys == ["lora.rank"])
        var changed = identity
        changed.changedKeys = resumed.changedKeys
        odd = state(20)
        odd.images = 95
        try save(odd, changed)
        #expect(try #require(try resume()).state == odd)
    }
}
