import Foundation
import Machine
import Testing

/// Limits of control groups of both versions, as files of made-up systems state them.
@Suite struct ControlGroupTests {
    private static let system = "MemAvailable:    5000000 kB\n"
    /// A system with separate hierarchies, and one of version 2 without controllers beside them.
    private static let separate = """
        23 1 259:1 / / rw,relatime - ext4 /dev/root rw
        33 31 0:30 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct
        35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
        39 31 0:36 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids
        41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw

        """
    private static let unified = "41 31 0:38 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw\n"
    /// What version 1 states where there is no limit.
    private static let none = "9223372036854771712\n"

    private func memory(_ files: [String: String]) throws -> NodeMemory? {
        var files = files
        files["proc/meminfo"] = Self.system
        return try withSystem(files) { NodeMemory.now(root: $0) }
    }

    private func group(_ available: Int) -> NodeMemory {
        NodeMemory(available: available, source: "the control group's limit")
    }

    // MARK: Memory

    @Test func theLimitOfVersionOneIsSeen() throws {
        var files = [
            "proc/self/mountinfo": Self.separate, "proc/self/cgroup": "4:memory:/job\n1:cpu,cpuacct:/\n0::/\n",
        ]
        files["sys/fs/cgroup/memory/memory.limit_in_bytes"] = Self.none
        files["sys/fs/cgroup/memory/memory.usage_in_bytes"] = "900\n"
        files["sys/fs/cgroup/memory/job/memory.limit_in_bytes"] = "8388608\n"
        files["sys/fs/cgroup/memory/job/memory.usage_in_bytes"] = "3000000\n"
        files["sys/fs/cgroup/memory/job/memory.stat"] =
            "cache 5\ninactive_file 1\ntotal_inactive_file 600000\ntotal_active_file 400000\n"
        #expect(try memory(files) == group(8_388_608 - 2_000_000))
        files["sys/fs/cgroup/memory/job/memory.limit_in_bytes"] = Self.none
        #expect(try memory(files)?.source == "the system")
    }

    /// Of nested groups the tightest counts, also one that only the statistics of a container's group tell of.
    @Test func theTightestOfNestedGroupsDecides() throws {
        var files = ["proc/self/mountinfo": Self.separate, "proc/self/cgroup": "4:memory:/a/b/c\n"]
        for (folder, limit) in [("a", "50000000"), ("a/b", "9000000"), ("a/b/c", "20000000")] {
            files["sys/fs/cgroup/memory/\(folder)/memory.limit_in_bytes"] = limit
            files["sys/fs/cgroup/memory/\(folder)/memory.usage_in_bytes"] = "1000000"
        }
        #expect(try memory(files) == group(8_000_000))
        files["sys/fs/cgroup/memory/a/b/c/memory.stat"] = "hierarchical_memory_limit 7000000\n"
        #expect(try memory(files) == group(6_000_000))
    }

    @Test func aContainerSeesItsOwnPart() throws {
        // Without a namespace, the path is the host's and the mount begins at the container's group.
        var files = [
            "proc/self/mountinfo": "35 31 0:32 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n",
            "proc/self/cgroup": "4:memory:/docker/abc\n",
        ]
        files["sys/fs/cgroup/memory/memory.limit_in_bytes"] = "70000000\n"
        files["sys/fs/cgroup/memory/memory.usage_in_bytes"] = "10000000\n"
        #expect(try memory(files) == group(60_000_000))
        // A path that is not below the mount, and one that leads out of the namespace.
        for path in ["/kubepods/pod7/abc", "/../../elsewhere"] {
            files["proc/self/cgroup"] = "4:memory:\(path)\n"
            #expect(try memory(files) == group(60_000_000), "\(path)")
        }
        // Version 2 in a namespace: the process is in the root, which has a limit here.
        var second = ["proc/self/mountinfo": Self.unified, "proc/self/cgroup": "0::/\n"]
        second["sys/fs/cgroup/memory.max"] = "40000000\n"
        second["sys/fs/cgroup/memory.current"] = "10000000\n"
        #expect(try memory(second) == group(30_000_000))
    }

    @Test func hierarchiesAreFoundWhereTheyAreMounted() throws {
        var files = [
            "proc/self/mountinfo": "41 31 0:38 / /run/my\\040groups rw - cgroup2 none rw\n",
            "proc/self/cgroup": "0::/j\n",
        ]
        files["run/my groups/j/memory.max"] = "3000\n"
        files["run/my groups/j/memory.current"] = "1000\n"
        #expect(try memory(files) == group(2000))
    }

    // MARK: Processor time

    private func quota(_ files: [String: String]) throws -> ProcessorQuota? {
        try withSystem(files) { root in
            ProcessorQuota.now(root: root).map {
                ProcessorQuota(cores: $0.cores, group: $0.group.replacing(root, with: ""))
            }
        }
    }

    @Test func theQuotaOfEitherVersionIsSeen() throws {
        var first = ["proc/self/mountinfo": Self.separate, "proc/self/cgroup": "1:cpu,cpuacct:/job\n"]
        first["sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_quota_us"] = "50000\n"
        first["sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_period_us"] = "100000\n"
        #expect(try quota(first) == ProcessorQuota(cores: 0.5, group: "/sys/fs/cgroup/cpu,cpuacct/job"))
        first["sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_quota_us"] = "-1\n"
        #expect(try quota(first) == nil)
        var second = ["proc/self/mountinfo": Self.unified, "proc/self/cgroup": "0::/a/b\n"]
        second["sys/fs/cgroup/a/b/cpu.max"] = "max 100000\n"
        #expect(try quota(second) == nil)
        // The group above is tighter than that of the process.
        second["sys/fs/cgroup/a/b/cpu.max"] = "800000 100000\n"
        second["sys/fs/cgroup/a/cpu.max"] = "250000 100000\n"
        #expect(try quota(second) == ProcessorQuota(cores: 2.5, group: "/sys/fs/cgroup/a"))
    }

    @Test func threadsAreRoundedUp() throws {
        #expect([0.01, 0.5, 1, 1.1, 8].map { ProcessorQuota(cores: $0, group: "").threads } == [1, 1, 1, 2, 8])
        var files = ["proc/self/mountinfo": Self.unified, "proc/self/cgroup": "0::/\n"]
        files["proc/self/status"] = "Cpus_allowed_list:\t0-63\n"
        files["sys/fs/cgroup/cpu.max"] = "750000 100000\n"
        #expect(try withSystem(files) { CoreAffinity.usableThreads(root: $0) } == 8)
        files["sys/fs/cgroup/cpu.max"] = "max 100000\n"
        #expect(try withSystem(files) { CoreAffinity.usableThreads(root: $0) } == 64)
    }

    // MARK: Processes

    @Test func aFullGroupOfProcessesIsNamed() throws {
        var files = ["proc/self/mountinfo": Self.separate, "proc/self/cgroup": "8:pids:/job/step\n"]
        files["sys/fs/cgroup/pids/job/step/pids.max"] = "max\n"
        files["sys/fs/cgroup/pids/job/step/pids.current"] = "40\n"
        files["sys/fs/cgroup/pids/job/pids.max"] = "64\n"
        files["sys/fs/cgroup/pids/job/pids.current"] = "63\n"
        #expect(try withSystem(files) { ThreadLimit.reachedGroup(root: $0) } == nil)
        files["sys/fs/cgroup/pids/job/pids.current"] = "64\n"
        #expect(try withSystem(files) { ThreadLimit.reachedGroup(root: $0) } == 64)
    }
}
