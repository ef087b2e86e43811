import Foundation
import Machine
import Testing

/// Cores as read from the files of a simulated system.
@Suite struct CoreAffinityTests {
    private func system<Answer>(_ files: [String: String], _ ask: (String) -> Answer) throws -> Answer {
        let root = FileManager.default.temporaryDirectory.appendingPathComponent("kedge-cores-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: root) }
        for (name, text) in files {
            let file = root.appendingPathComponent(name)
            try FileManager.default.createDirectory(
                at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
            try Data(text.utf8).write(to: file)
        }
        return ask(root.path)
    }

    @Test func rangesAsLinuxWritesThem() {
        #expect(CoreAffinity(ranges: "0-3,8\n")?.cores == [0, 1, 2, 3, 8])
        #expect(CoreAffinity(ranges: "5")?.count == 1)
        for text in ["", "\n", "a", "3-1", "1-2-3", "0,,x"] { #expect(CoreAffinity(ranges: text) == nil, "\(text)") }
    }

    @Test func boundCores() throws {
        let status = "Name:\tkedge\nCpus_allowed:\tc\nCpus_allowed_list:\t2-3\n"
        #expect(try system(["proc/self/status": status]) { CoreAffinity.current(root: $0) }.cores == [2, 3])
    }

    /// The nearest control group that has a core list; without any, all cores that are online.
    @Test func coresOfTheGroup() throws {
        let online = ["sys/devices/system/cpu/online": "0-15\n"]
        #expect(try system(online) { CoreAffinity.unbound(root: $0) }.count == 16)
        var second = online
        second["proc/self/cgroup"] = "0::/job/step\n"
        second["sys/fs/cgroup/job/cpuset.cpus.effective"] = "0-7\n"
        #expect(try system(second) { CoreAffinity.unbound(root: $0) }.count == 8)
        var first = online
        first["proc/self/cgroup"] = "4:memory:/x\n3:cpuset:/slurm\n0::/\n"
        first["sys/fs/cgroup/cpuset/slurm/cpuset.effective_cpus"] = "0-3\n"
        #expect(try system(first) { CoreAffinity.unbound(root: $0) }.count == 4)
    }
}
