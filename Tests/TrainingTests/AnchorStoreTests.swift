import Collectives
import Datasets
import Foundation
import Glibc
import Imaging
import Machine
import Telemetry
import Tensors
import Testing
import TestSupport
import Training

/// What a node stores of the anchor's results, and what it must never return.
@Suite struct AnchorStoreTests {
    private let place: TemporaryFolder
    private var folder: String { place.path }
    private let run = AnchorStore.Run(images: 3, mirrorings: .everyEpoch, embedding: [4, 8], baseDigest: "base")

    init() throws {
        place = try TemporaryFolder("anchor-tests")
    }

    private var files: [String] { (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? [] }

    private func open(
        _ run: AnchorStore.Run? = nil, keep: Bool = false, limitGiB: Double = 0.1,
        _ communicator: (any Communicator)? = nil
    ) throws -> (store: AnchorStore?, fact: AnchorStoreFact) {
        var settings = AnchorStoreSettings()
        (settings.folder, settings.keep, settings.limitGiB) = (folder, keep, limitGiB)
        return try AnchorStore.open(
            settings, run ?? self.run, temporaryFolder: "/no/such/folder",
            communicator: try communicator ?? SingleProcessCommunicator())
    }

    private func view(_ value: Float) -> Tensor { Tensor(repeating: value, [2, 2, 3]) }
    private func embedding(_ value: Float) -> Tensor { Tensor((0..<32).map { value + Float($0) }, [4, 8]) }

    @Test func givesBackWhatWasKeptForTheSameView() throws {
        let store = try #require(try open().store)
        let (key, other) = (store.key(of: view(1)), store.key(of: view(2)))
        #expect(key != other)
        #expect(store.embedding(image: 1, flip: .vertical, key: key) == nil)
        store.keep(embedding(7), image: 1, flip: .vertical, key: key)
        let found = try #require(store.embedding(image: 1, flip: .vertical, key: key))
        #expect(found.shape == [4, 8])
        #expect(found.elements == embedding(7).elements)
        // A different mirroring, image or pixels give a different embedding.
        #expect(store.embedding(image: 1, flip: .none, key: key) == nil)
        #expect(store.embedding(image: 2, flip: .vertical, key: key) == nil)
        #expect(store.embedding(image: 1, flip: .vertical, key: other) == nil)
        #expect(store.count == 1)
    }

    @Test func anotherBaseHasOtherKeys() throws {
        let first = try #require(try open().store)
        var run = run
        run.baseDigest = "another"
        #expect(try #require(try open(run).store).key(of: view(1)) != first.key(of: view(1)))
    }

    @Test func anUnkeptStoreHasNoNameOnceItIsOpen() throws {
        let store = try #require(try open().store)
        #expect(files.isEmpty)
        store.keep(embedding(1), image: 0, flip: .none, key: store.key(of: view(1)))
        #expect(store.count == 1)
    }

    @Test func aKeptStoreServesTheNextRun() throws {
        let key = try {
            let store = try #require(try open(keep: true).store)
            store.keep(embedding(3), image: 2, flip: .both, key: store.key(of: view(3)))
            // While a run uses it, another run uses a file of its own.
            let second = try open(keep: true)
            #expect(second.fact.line.contains("another run uses"), "\(second.fact.line)")
            #expect(second.store?.count == 0)
            return store.key(of: view(3))
        }()
        let next = try open(keep: true)
        #expect(next.fact.found == 1 && next.fact.line.contains("kept; 1 there"), "\(next.fact.line)")
        let found = try #require(next.store).embedding(image: 2, flip: .both, key: key)
        #expect(found?.elements == embedding(3).elements)
        #expect(files.count == 1)
    }

    @Test func aDamagedPayloadOfAKeptStoreIsMadeAnew() throws {
        let key = try {
            let store = try #require(try open(keep: true).store)
            store.keep(embedding(3), image: 0, flip: .none, key: store.key(of: view(3)))
            return store.key(of: view(3))
        }()
        let path = folder + "/" + (try #require(files.first))
        var bytes = try #require(FileManager.default.contents(atPath: path))
        let payload = Data(embedding(3).elements.withUnsafeBytes { Array($0) })
        let place = try #require(bytes.range(of: payload)).lowerBound
        bytes[place + 5] ^= 1
        // In place, as a faulty disk would do.
        let handle = try #require(FileHandle(forUpdatingAtPath: path))
        try handle.write(contentsOf: bytes)
        try handle.close()
        let store = try #require(try open(keep: true).store)
        #expect(store.embedding(image: 0, flip: .none, key: key) == nil)
        store.keep(embedding(3), image: 0, flip: .none, key: key)
        #expect(store.embedding(image: 0, flip: .none, key: key)?.elements == embedding(3).elements)
    }

    /// A damaged header must not direct writes outside the file or into data being read.
    @Test(arguments: [(64, UInt64.max), (4104, 1 << 62), (4104, UInt64.max), (4232, 0)])
    func aDamagedHeaderOfAKeptFileHarmsNothing(place: Int, value: UInt64) throws {
        let descriptor = Glibc.open(folder + "/damaged", O_RDWR | O_CREAT, 0o600)
        defer { close(descriptor) }
        try AnchorFile.format(descriptor, slots: 3, floats: 8, places: 3)
        let keys = (1...3).map { AnchorFile.Key(repeating: UInt8($0), count: 32) }
        func embedding(_ slot: Int) -> Tensor { Tensor(repeating: Float(slot), [8]) }
        func open() throws -> AnchorFile {
            try AnchorFile(descriptor: descriptor, slots: 3, floats: 8, verifies: true)
        }
        for slot in 0..<2 { #expect(try open().write(slot, keys[slot], embedding(slot)) == .kept) }
        withUnsafeBytes(of: value) { _ = pwrite(descriptor, $0.baseAddress, 8, off_t(place)) }
        let file = try open()
        file.recover()
        let before = file.read(0, keys[0])
        // The place of a cleared slot may be lost.
        let kept = (0..<3).filter { file.write($0, keys[$0], embedding($0)) == .kept }
        #expect(kept.count >= 2)
        #expect(before.map { $0.elements == embedding(0).elements } ?? true)
        for slot in kept { #expect(file.read(slot, keys[slot])?.elements == embedding(slot).elements) }
        var status = stat()
        #expect(fstat(descriptor, &status) == 0 && status.st_size == (2 + 3) * 4096)
    }

    /// A kept file that another process cuts while ranks have it open: no signal, and nothing is found in it any more.
    @Test(arguments: [0, 4096, 8192, 8200]) func aKeptFileThatIsCutIsUsedNoMore(length: off_t) throws {
        let descriptor = Glibc.open(folder + "/cut", O_RDWR | O_CREAT, 0o600)
        defer { close(descriptor) }
        try AnchorFile.format(descriptor, slots: 3, floats: 8, places: 3)
        let file = try AnchorFile(descriptor: descriptor, slots: 3, floats: 8, verifies: true)
        let keys = (1...2).map { AnchorFile.Key(repeating: UInt8($0), count: 32) }
        #expect(file.write(0, keys[0], Tensor(repeating: 1, [8])) == .kept)
        ftruncate(descriptor, length)
        #expect(file.read(0, keys[0]) == nil)
        let isShort = length < 8192
        let kept = file.write(1, keys[1], Tensor(repeating: 2, [8]))
        #expect(isShort ? kept == .failed("its file was cut by another process") : kept == .kept)
    }

    @Test func anotherProgramHasAnotherFile() throws {
        _ = try open(keep: true)
        var other = run
        other.program = "another build"
        _ = try open(other, keep: true)
        #expect(files.count == 2)
    }

    @Test func aKeptFileOfAnotherShapeIsMadeAnew() throws {
        _ = try open(keep: true)
        let path = folder + "/" + (try #require(files.first))
        try Data("nonsense".utf8).write(to: URL(fileURLWithPath: path))
        let store = try #require(try open(keep: true).store)
        store.keep(embedding(1), image: 0, flip: .none, key: store.key(of: view(1)))
        #expect(store.count == 1)
    }

    @Test func memoryThatRanksWillNeedIsLeftAlone() throws {
        // tmpfs is memory: the store must not use what the ranks will allocate.
        let shared = AnchorPlace(
            folder: "/dev/shm", slots: 1000, floats: 1024, limitGiB: 1, reservedBytes: 1 << 20, name: nil,
            free: { NodeMemory(available: 2 << 20, source: "a test") })
        let (opened, decision) = shared.prepare()
        if let descriptor = opened?.descriptor { close(descriptor) }
        #expect(decision.limit == 128, "\(decision)")
    }

    @Test func aFileThatCannotBeSizedIsAFault() throws {
        let descriptor = Glibc.open("/dev/full", O_RDWR)
        defer { close(descriptor) }
        #expect(throws: AnchorFault.self) {
            try AnchorFile.format(descriptor, slots: 4, floats: 32, places: 4)
        }
    }

    @Test func aFullStoreKeepsWhatItHas() throws {
        // Space for two of twelve.
        let opened = try open(limitGiB: 2.5 * 128 / Double(1 << 30))
        #expect(
            opened.fact.capacity == 2 && opened.fact.line.contains("room for 2 of 12 embeddings"), "\(opened.fact.line)"
        )
        let store = try #require(opened.store)
        let key = store.key(of: view(1))
        for image in 0..<3 { store.keep(embedding(Float(image)), image: image, flip: .none, key: key) }
        #expect(store.count == 2)
        #expect(store.embedding(image: 0, flip: .none, key: key) != nil)
        #expect(store.embedding(image: 1, flip: .none, key: key) != nil)
        #expect(store.embedding(image: 2, flip: .none, key: key) == nil)
    }

    @Test func aNodeWithoutRoomRunsWithoutAStore() throws {
        let none = try open(limitGiB: 1e-9)
        #expect(none.store == nil)
        #expect(none.fact.line.contains("off, because \(folder) has no room"))
        var settings = AnchorStoreSettings()
        settings.folder = "/no/such/folder"
        let missing = try AnchorStore.open(
            settings, run, temporaryFolder: "", communicator: try SingleProcessCommunicator())
        #expect(missing.store == nil)
        settings.mode = .off
        let off = try AnchorStore.open(
            settings, run, temporaryFolder: "", communicator: try SingleProcessCommunicator())
        #expect(off.store == nil && off.fact.line == "anchor store: off")
    }

    @Test func ranksOfANodeShareAndRacesKeepOneCopy() throws {
        let counts = try InProcessCommunicator.run(ranks: 4, ranksPerNode: 2) { communicator in
            let store = try #require(try open(communicator).store)
            let key = store.key(of: view(5))
            store.keep(embedding(5), image: 0, flip: .none, key: key)
            try communicator.barrier()
            let found = store.embedding(image: 0, flip: .none, key: key)?.elements
            #expect(found == embedding(5).elements)
            // An embedding stored only by the node's other rank is available to this one, but not to the other node.
            if communicator.rank == 0 { store.keep(embedding(6), image: 1, flip: .none, key: key) }
            try communicator.barrier()
            return store.count
        }
        #expect(counts == [2, 2, 1, 1])
        #expect(files.isEmpty)
    }

    private func open(_ communicator: any Communicator) throws -> (store: AnchorStore?, fact: AnchorStoreFact) {
        try open(nil, keep: false, communicator)
    }
}
