import CheckpointStore
import Collectives
import Foundation
import Testing
import TestSupport

/// A checkpoint's record of the kernels its steps were computed with.
@Suite struct CheckpointKernelsTests {
    private let place: TemporaryFolder
    private var store: CheckpointStore { CheckpointStore(folder: place.path) }

    init() throws { place = try TemporaryFolder("checkpoint-kernels-tests") }

    private static func kernels(_ core: String, _ step: Int, ranks: String = "all") -> CheckpointManifest.Kernels {
        .init(firstStep: step, ranks: ranks, core: core, version: "OpenBLAS 0.3.21", form: "x86-64-v3")
    }

    private func identity(_ kernels: [CheckpointManifest.Kernels]) -> CheckpointStore.Identity {
        .init(settings: [.init(key: "lora.rank", value: "4")], parameterCount: 2, kernels: kernels)
    }

    private func save(_ step: Int, _ kernels: [CheckpointManifest.Kernels]) throws {
        let communicator = try SingleProcessCommunicator()
        _ = try store.open(communicator: communicator)
        let writer = try CheckpointWriter(store, identity: identity(kernels), communicator: communicator)
        writer.begin(
            CheckpointState(
                step: step, images: 4 * step, updates: step, first: 0, parameters: [1, 2],
                firstMoment: [3, 4], secondMoment: [5, 6]))
        guard case .published = try writer.finish() else {
            Issue.record("step \(step) was not saved")
            return
        }
    }

    private func resume(_ kernels: [CheckpointManifest.Kernels]) throws -> CheckpointStore.Resumed? {
        let (store, identity) = (store, identity(kernels))
        return try InProcessCommunicator.run(ranks: 2) { communicator in
            try store.resume(.auto, identity: identity, allowing: [], communicator: communicator)
        }[1]
    }

    @Test func kernelsAreToldAndRefuseNothing() throws {
        let (haswell, zen) = ([Self.kernels("Haswell", 0)], [Self.kernels("Zen", 0)])
        try save(3, haswell)
        #expect(try #require(try resume(zen)).kernels == haswell)
        let lines = try CheckpointReport.show(place.path + "/step-000003")
        #expect(lines.contains("kernels from step 0: OpenBLAS 0.3.21 core Haswell, own x86-64-v3"))
        try save(4, haswell.followed(by: zen, at: 3))
        let difference = try CheckpointReport.difference(place.path + "/step-000003", place.path + "/step-000004")
        let line = try #require(difference.first { $0.hasPrefix("kernels: ") })
        #expect(line.hasSuffix("kernels from step 3: OpenBLAS 0.3.21 core Zen, own x86-64-v3"))
    }

    @Test func theRecordGrowsWhereKernelsChange() {
        let (haswell, zen) = ([Self.kernels("Haswell", 0)], [Self.kernels("Zen", 0)])
        #expect(haswell.followed(by: haswell, at: 5) == haswell)
        let both = haswell.followed(by: zen, at: 5)
        #expect(both == [Self.kernels("Haswell", 0), Self.kernels("Zen", 5)])
        #expect(both.newest == [Self.kernels("Zen", 5)])
        #expect(both.followed(by: zen, at: 8) == both)
        #expect(both.followed(by: haswell, at: 8) == both + [Self.kernels("Haswell", 8)])
        // Nothing was computed yet; nothing is known.
        #expect(haswell.followed(by: zen, at: 0) == zen)
        #expect([].followed(by: zen, at: 6) == [Self.kernels("Zen", 6)])
        let mixed = [Self.kernels("Haswell", 0, ranks: "0"), Self.kernels("Zen", 0, ranks: "1-3")]
        #expect(mixed.followed(by: mixed, at: 2) == mixed && mixed.newest == mixed)
        #expect(mixed.followed(by: zen, at: 2) == mixed + [Self.kernels("Zen", 2)])
    }

    @Test func stepsThatWereNotDoneAreImpossible() throws {
        try save(3, [Self.kernels("Haswell", 4)])
        let error = try #require(throws: CheckpointError.self) {
            try CheckpointStore.verify(place.path + "/step-000003")
        }
        #expect(error.kind == .damaged && error.reason.contains("impossible"))
    }

    /// Version 3, which names no kernels, is valid for this reader and can be resumed; version 2 is of another program.
    @Test func theFormBeforeIsRead() throws {
        try save(3, [Self.kernels("Haswell", 0)])
        let file = URL(fileURLWithPath: place.path + "/step-000003/manifest.json")
        var manifest = try CheckpointStore.manifest(of: place.path + "/step-000003")
        (manifest.schema, manifest.kernels, manifest.emptyBatches, manifest.changedKeys) = (3, nil, nil, nil)
        let text = try manifest.sealed()
        #expect(!String(decoding: text, as: UTF8.self).contains("kernels"))
        try text.write(to: file)
        let resumed = try #require(try resume([Self.kernels("Zen", 0)]))
        #expect(resumed.state.step == 3 && resumed.kernels == nil && resumed.skipped.isEmpty)
        manifest.schema = 2
        try manifest.sealed().write(to: file)
        let error = try #require(throws: CheckpointError.self) { try resume([]) }
        #expect(error.kind == .changed && error.reason.contains("has form 2, this program reads 3 to 6"))
    }
}
