import Collectives
import Foundation

extension Conformance {
    static let nodeMemory: [ConformanceCase] = [
        ConformanceCase("nodes are numbered by their first ranks") { communicator, check in
            let nodes = communicator.nodeOfRank
            check.equal(nodes.count, communicator.worldSize, "one node per rank")
            check.equal(nodes.first, 0, "rank 0 is on node 0")
            let mine = nodes.indices.filter { nodes[$0] == nodes[communicator.rank] }
            check.equal(mine.count, communicator.ranksOnNode, "ranks of this node")
            check.equal(mine.firstIndex(of: communicator.rank), communicator.nodeRank, "place among them")
        },
        ConformanceCase("what rank 0 writes reaches every copy, in a window or private") { communicator, check in
            for kind in NodeSharedMemory.Kind.allCases {
                for byteCount in [1, 4096, 3_000_001] {
                    let memory = try communicator.makeNodeMemory(
                        byteCount: byteCount, kind: kind, temporaryFolder: NSTemporaryDirectory())
                    check.equal(Int(bitPattern: memory.start) % 4096, 0, "start at a page")
                    check.expect(kind == .window || memory.placement == .own, "private memory is the rank's own")
                    let message = bytes(byteCount, salt: byteCount)
                    if communicator.isRoot {
                        message.withUnsafeBytes { memory.start.copyMemory(from: $0.baseAddress!, byteCount: byteCount) }
                    }
                    try communicator.publish(memory)
                    check.expect(memory.isSealed, "not sealed")
                    let seen = Array(UnsafeRawBufferPointer(start: memory.start, count: byteCount))
                    check.expect(seen == message, "\(byteCount) bytes (\(kind)) arrived changed")
                }
            }
        },
        ConformanceCase("ranks that ask for different amounts of memory all get an error") { communicator, check in
            guard communicator.worldSize > 1 else { return }
            do {
                _ = try communicator.makeNodeMemory(
                    byteCount: 1000 + communicator.rank, kind: .window, temporaryFolder: NSTemporaryDirectory())
                check.expect(false, "different amounts were accepted")
            } catch let error as CollectivesError {
                check.equal(error.kind, .countMismatch, "kind")
            }
        },
        ConformanceCase("ranks that ask for different kinds of memory all get an error") { communicator, check in
            guard communicator.worldSize > 1 else { return }
            do {
                _ = try communicator.makeNodeMemory(
                    byteCount: 1000, kind: communicator.isRoot ? .window : .private,
                    temporaryFolder: NSTemporaryDirectory())
                check.expect(false, "different kinds were accepted")
            } catch let error as CollectivesError {
                check.equal(error.kind, .countMismatch, "kind")
            }
        },
        ConformanceCase("a temporary folder that does not exist matters only without room") { communicator, check in
            let memory = try communicator.makeNodeMemory(
                byteCount: 100, kind: .private, temporaryFolder: "/no/such/folder")
            try communicator.publish(memory)
        },
    ]
}
