import Foundation
import Machine
import Testing

/// Free memory as files of a made-up system tell it.
@Suite struct NodeMemoryTests {
    private func memory(_ files: [String: String]) throws -> NodeMemory? {
        let root = FileManager.default.temporaryDirectory.appendingPathComponent("kedge-node-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: root) }
        for (name, text) in files {
            let file = root.appendingPathComponent(name)
            try FileManager.default.createDirectory(
                at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
            try Data(text.utf8).write(to: file)
        }
        return NodeMemory.now(root: root.path)
    }

    private let system = "MemTotal:  8000000 kB\nMemFree:  1000 kB\nMemAvailable:    5000000 kB\n"

    @Test func theSystemTells() throws {
        #expect(try memory(["proc/meminfo": system]) == NodeMemory(available: 5_000_000 << 10, source: "the system"))
        #expect(try memory([:]) == nil)
    }

    /// Pages of files in the group count as free; a group without a limit says nothing.
    @Test func theTightestGroupDecides() throws {
        var files = ["proc/meminfo": system, "proc/self/cgroup": "1:cpu:/x\n0::/job/step\n"]
        files["sys/fs/cgroup/job/memory.max"] = "3000000000\n"
        files["sys/fs/cgroup/job/memory.current"] = "2900000000\n"
        files["sys/fs/cgroup/job/memory.stat"] = "anon 100\ninactive_file 700000000\nactive_file 200000000\n"
        files["sys/fs/cgroup/job/step/memory.max"] = "max\n"
        files["sys/fs/cgroup/job/step/memory.current"] = "5\n"
        #expect(
            try memory(files) == NodeMemory(available: 1_000_000_000, source: "the control group's limit"))
    }

    @Test func thisSystemTells() throws { #expect(try #require(NodeMemory.now()).available > 1 << 20) }
}
