import CheckpointStore
import Collectives
import Foundation
import Glibc
import Testing
import TestSupport

/// What a lock is worth after somebody has touched its file or folder.
@Suite struct RunLockTests {
    private let place: TemporaryFolder
    private var folder: String { place.path + "/run" }
    private let files = FileManager.default

    init() throws {
        place = try TemporaryFolder("lock-tests")
        try make(folder)
    }

    private func make(_ path: String) throws {
        try files.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    private func write(_ text: String, _ path: String) throws {
        try text.write(toFile: path, atomically: false, encoding: .utf8)
    }

    @Test func anUntouchedLockIsKept() throws {
        let lock = try RunLock(folder: folder)
        #expect(lock.loss == nil)
        try make(folder + "/checkpoints")
        #expect(lock.loss == nil)
    }

    @Test func aRemovedLockIsLost() throws {
        let lock = try RunLock(folder: folder)
        try files.removeItem(atPath: folder + "/LOCK")
        let loss = try #require(lock.loss)
        #expect(loss.kind == .locked && loss.reason.contains("LOCK was removed"))
    }

    @Test func aReplacedLockNamesTheOtherRun() throws {
        let lock = try RunLock(folder: folder)
        try files.removeItem(atPath: folder + "/LOCK")
        let second = try RunLock(folder: folder)
        let loss = try #require(lock.loss)
        #expect(loss.reason.contains("replaced by host ") && loss.reason.contains("process \(getpid())"))
        #expect(second.loss == nil)
    }

    /// Where the numbers of files change under open ones, the text decides.
    @Test func aLockWithThisRunsTextIsThisRuns() throws {
        let lock = try RunLock(folder: folder)
        try files.copyItem(atPath: folder + "/LOCK", toPath: folder + "/copy")
        #expect(rename(folder + "/copy", folder + "/LOCK") == 0)
        #expect(lock.loss == nil)
        let second = try RunLock(folder: folder)
        #expect(lock.loss != nil && second.loss == nil)
    }

    @Test(arguments: ["renamed", "removed", "replaced", "replaced by a link"]) func anotherFolderIsNotThisRuns(
        change: String
    ) throws {
        let lock = try RunLock(folder: folder)
        if change == "removed" {
            try files.removeItem(atPath: folder)
        } else {
            try files.moveItem(atPath: folder, toPath: folder + "-old")
        }
        if change == "replaced" { try make(folder) }
        if change == "replaced by a link" {
            try make(folder + "-other")
            try files.createSymbolicLink(atPath: folder, withDestinationPath: folder + "-other")
        }
        #expect(try #require(lock.loss).reason.contains("renamed, removed or replaced"))
        guard change == "renamed" else { return }
        try files.moveItem(atPath: folder + "-old", toPath: folder)
        #expect(lock.loss == nil)
    }

    /// The folder itself may be a link: runs live on another disk then.
    @Test func theFolderMayBeALink() throws {
        let link = place.path + "/link"
        try files.createSymbolicLink(atPath: link, withDestinationPath: folder)
        let lock = try RunLock(folder: link)
        #expect(lock.loss == nil)
        #expect(throws: CheckpointError.self) { try RunLock(folder: folder) }
        // It now leads elsewhere.
        try files.removeItem(atPath: link)
        try make(place.path + "/elsewhere")
        try files.createSymbolicLink(atPath: link, withDestinationPath: place.path + "/elsewhere")
        #expect(lock.loss != nil)
    }

    @Test(arguments: ["symbolic", "hard", "dangling", "pipe"]) func whatIsNoFileOfItsOwnIsRefused(kind: String) throws {
        let precious = place.path + "/precious"
        try write("precious", precious)
        switch kind {
        case "symbolic": try files.createSymbolicLink(atPath: folder + "/LOCK", withDestinationPath: precious)
        case "dangling": try files.createSymbolicLink(atPath: folder + "/LOCK", withDestinationPath: precious + "-2")
        case "hard": try files.linkItem(atPath: precious, toPath: folder + "/LOCK")
        default: #expect(mkfifo(folder + "/LOCK", 0o644) == 0)
        }
        let error = try #require(throws: CheckpointError.self) { try RunLock(folder: folder) }
        #expect(error.kind == .cannotWrite && error.path == folder + "/LOCK")
        #expect(try String(contentsOfFile: precious, encoding: .utf8) == "precious")
        #expect(!files.fileExists(atPath: precious + "-2"))
    }

    /// Whoever removes locks while runs start: one holds a lock that others find, all others are refused or have lost.
    @Test func ofManyStartsOneHolds() throws {
        let folder = folder
        let remover = Thread { for _ in 0..<200 { unlink(folder + "/LOCK"); usleep(200) } }
        remover.start()
        let locks = try InProcessCommunicator.run(ranks: 4) { _ -> [RunLock] in
            (0..<20).compactMap { _ in try? RunLock(folder: folder, patience: 0) }
        }
        while !remover.isFinished { usleep(1000) }
        #expect(locks.flatMap(\.self).count { $0.loss == nil } <= 1)
    }

    // MARK: - Checkpoints of a run that has lost its folder

    private static let identity = CheckpointStore.Identity(
        settings: [.init(key: "lora.rank", value: "4")], parameterCount: 2)

    private func save(_ step: Int, _ writer: CheckpointWriter) throws -> CheckpointWriter.Saved? {
        writer.begin(
            CheckpointState(
                step: step, images: step, updates: step, first: 0, parameters: [1, 2], firstMoment: [3, 4],
                secondMoment: [5, 6]))
        return try writer.finish()
    }

    private func names(_ path: String) -> [String] {
        ((try? files.contentsOfDirectory(atPath: path)) ?? []).sorted()
    }

    @Test(arguments: ["lock", "folder"]) func aLostFolderGetsNoCheckpoint(what: String) throws {
        let lock = try RunLock(folder: folder)
        let store = CheckpointStore(folder: folder + "/checkpoints", lock: lock)
        let communicator = try SingleProcessCommunicator()
        _ = try store.open(communicator: communicator)
        let writer = try CheckpointWriter(store, identity: Self.identity, communicator: communicator)
        guard case .published = try save(1, writer) else { throw CheckpointError.link(folder, "not saved") }
        if what == "folder" { try files.moveItem(atPath: folder, toPath: folder + "-old") }
        if what == "lock" { try files.removeItem(atPath: folder + "/LOCK") }
        try make(folder + "/checkpoints")
        let before = names(folder + "/checkpoints")
        let second = try RunLock(folder: folder)
        guard case .lost(let loss) = try save(2, writer) else {
            Issue.record("step 2 was saved into a folder of another run")
            return
        }
        #expect(loss.kind == .locked && second.loss == nil)
        #expect(names(folder + "/checkpoints") == before)
    }

    /// A rank without the lock notices that the run's folder is another one.
    @Test func otherRanksWriteNothingIntoAnotherFolder() throws {
        let lock = try RunLock(folder: folder)
        let (path, files) = (folder, files)
        let outcomes = try InProcessCommunicator.run(ranks: 2) { communicator -> CheckpointWriter.Saved? in
            let store = CheckpointStore(folder: path + "/checkpoints", lock: communicator.isRoot ? lock : nil)
            _ = try store.open(communicator: communicator)
            let writer = try CheckpointWriter(store, identity: Self.identity, communicator: communicator)
            try communicator.barrier()
            if communicator.isRoot {
                try files.moveItem(atPath: path, toPath: path + "-old")
                try files.createDirectory(atPath: path + "/checkpoints", withIntermediateDirectories: true)
            }
            try communicator.barrier()
            var state = CheckpointState(
                step: 3, images: 3, updates: 3, first: communicator.rank, parameters: [1], firstMoment: [1],
                secondMoment: [1])
            state.scores = []
            writer.begin(state)
            return try writer.finish()
        }
        #expect(names(folder + "/checkpoints").isEmpty)
        for outcome in outcomes {
            guard case .lost = outcome else {
                Issue.record("\(String(describing: outcome))")
                continue
            }
        }
    }

    /// Checkpoints that are removed under a run cost only themselves.
    @Test func aRemovedFolderOfCheckpointsIsMadeAnew() throws {
        let lock = try RunLock(folder: folder)
        let store = CheckpointStore(folder: folder + "/checkpoints", lock: lock)
        let communicator = try SingleProcessCommunicator()
        _ = try store.open(communicator: communicator)
        let writer = try CheckpointWriter(store, identity: Self.identity, communicator: communicator)
        try files.removeItem(atPath: store.folder)
        guard case .published = try save(4, writer) else { throw CheckpointError.link(folder, "not saved") }
        // A link in its place is not followed.
        try files.removeItem(atPath: store.folder)
        try make(folder + "-elsewhere")
        try files.createSymbolicLink(atPath: store.folder, withDestinationPath: folder + "-elsewhere")
        guard case .failed(let reason) = try save(5, writer) else { throw CheckpointError.link(folder, "saved") }
        #expect(reason.contains("symbolic link") && names(folder + "-elsewhere").isEmpty)
    }
}
