import Collectives
import Foundation
import Testing
import TestSupport

@Suite struct NodeMemoryTests {
    private let place: TemporaryFolder
    private var folder: String { place.path }

    init() throws {
        place = try TemporaryFolder("node-memory")
    }

    @Test func aWindowIsTakenWhereItHasRoom() {
        #expect(
            NodeMemoryDecision.make(byteCount: 1000, ranks: 2, sharedFolder: folder, temporaryFolder: "/no/such/folder")
                == (.window, nil))
    }

    @Test func aFileIsTakenWhereTheWindowHasNone() throws {
        let (decision, descriptor) = NodeMemoryDecision.make(
            byteCount: 100_000, ranks: 2, sharedFolder: "/no/such/folder", temporaryFolder: folder)
        guard case .file(let file, folder) = decision, let opened = file.open() else {
            Issue.record("\(decision)")
            return
        }
        defer { if let descriptor { close(descriptor) } }
        #expect((try? FileManager.default.contentsOfDirectory(atPath: folder)) == [], "the file has a name")
        // All blocks are allocated, so that no write can fail.
        var figures = stat()
        defer { close(opened) }
        #expect(fstat(opened, &figures) == 0)
        #expect(figures.st_size == 100_000 && figures.st_blocks * 512 >= 100_000)
        #expect(NodeMemoryDecision(line: decision.line) == decision)
    }

    @Test func withoutRoomAnywhereTheReasonNamesBothPlaces() {
        let (decision, _) = NodeMemoryDecision.make(
            byteCount: 1 << 58, ranks: 2, sharedFolder: folder, temporaryFolder: folder)
        guard case .fault(let reason) = decision else {
            Issue.record("\(decision)")
            return
        }
        #expect(reason.contains("\(folder) has"))
        #expect(reason.contains("\(1 << 38) MiB"))
        #expect((try? FileManager.default.contentsOfDirectory(atPath: folder)) == [], "a file was left behind")
        #expect(NodeMemoryDecision(line: decision.line) == decision)
    }

    @Test func memoryOfAFileIsSharedByThoseWhoMapIt() throws {
        guard
            case (.file(let file, _), let made?) = NodeMemoryDecision.make(
                byteCount: 5000, ranks: 2, sharedFolder: "/no/such/folder", temporaryFolder: folder)
        else {
            Issue.record("no file")
            return
        }
        let descriptor = try #require(file.open())
        let (first, second) = (
            try NodeSharedMemory(file: descriptor, in: folder, byteCount: 5000),
            try NodeSharedMemory(file: descriptor, in: folder, byteCount: 5000)
        )
        close(descriptor)
        close(made)
        first.start.storeBytes(of: 7, toByteOffset: 4999, as: UInt8.self)
        #expect(second.start.load(fromByteOffset: 4999, as: UInt8.self) == 7)
    }

    @Test func aNodeThatGaveAWindowUpTakesAFile() {
        let (decision, descriptor) = NodeMemoryDecision.make(
            byteCount: 1000, ranks: 2, allowsWindow: false, sharedFolder: folder, temporaryFolder: folder)
        defer { if let descriptor { close(descriptor) } }
        guard case .file = decision else {
            Issue.record("\(decision)")
            return
        }
    }

    @Test func anotherFileUnderTheSameNumberIsNotOpened() throws {
        let descriptor = try #require(OpenFile(of: 0).map { _ in Int32(0) })
        let line = try #require(OpenFile(of: descriptor)).line.split(separator: " ")
        #expect(OpenFile(line: "\(line[0]) \(line[1]) 1")?.open() == nil)
        #expect(OpenFile(line: "nonsense") == nil)
        #expect(OpenFile(of: 9999) == nil)
    }

    @Test func nodesOfThreadsAreNumbered() throws {
        let nodes = try InProcessCommunicator.run(ranks: 5, ranksPerNode: 2) { ($0.nodeOfRank, $0.nodeRank) }
        #expect(nodes.map(\.0) == [[Int]](repeating: [0, 0, 1, 1, 2], count: 5))
        #expect(nodes.map(\.1) == [0, 1, 0, 1, 0])
    }
}
