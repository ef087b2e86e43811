import Diagnosis
import Kernels
import Machine
import Planning
import Telemetry
import Testing

/// Matrix kernels, memory and limits of nodes.
@Suite struct NodeTests {
    @Test func oneKindOfKernels() {
        #expect(
            findings("OpenBLAS", FakeCluster.two()).line
                == "ok | OpenBLAS 0.3.21, Haswell kernels on all ranks, one thread per call, pthreads | ")
    }

    @Test func processorsOfTwoKinds() {
        func line(_ first: String, _ second: String) -> String {
            findings("OpenBLAS", FakeCluster.two { $0.kernels.core = $0.host == "node1" ? second : first }).line
        }
        let mixed = line("Zen", "SkylakeX")
        #expect(
            mixed.hasPrefix("fault | ranks 2-3 on node1: SkylakeX kernels, ranks 0-1 on node0 have Zen: different bits")
        )
        #expect(mixed.contains("-x OPENBLAS_CORETYPE=Haswell") && mixed.contains("execution.mixedKernels=allow"))
        #expect(line("Cooperlake", "SkylakeX").contains("-x OPENBLAS_CORETYPE=SkylakeX"))
    }

    // MARK: Limits

    @Test func aQuotaOfProcessorTimeIsWarnedOf() {
        func line(_ cores: Double, threads: Int = 1, group: (Int) -> String = { _ in "/job" }) -> String {
            findings(
                "cores",
                FakeCluster.ranks(["a", "a"]) {
                    $0.cores.quota = ProcessorQuota(cores: cores, group: group($0.rank))
                    $0.cores.threads = threads
                }
            ).line
        }
        #expect(
            line(0.5).hasPrefix(
                "warning | ranks 0-1 on a: 2 threads on processor time of 0.5 cores, the control group's quota"))
        #expect(line(0.5).contains("docker run --cpus"))
        #expect(line(4, threads: 4).hasSuffix("or set execution.threads=2"))
        #expect(line(4, threads: 2).hasPrefix("ok"))
        #expect(line(4, threads: 4, group: { "/rank\($0)" }).hasPrefix("ok"), "a quota for each rank")
    }

    @Test func refusedThreadsAreAFault() {
        #expect(findings("threads", FakeCluster.two()).line == "ok | the system grants those of a run | ")
        let refused = FakeCluster.two {
            if $0.rank == 2 {
                $0.cores.shortage = .init(problem: "thread 3 of 8 more cannot be started", remedy: "ulimit -u")
            }
        }
        #expect(
            findings("threads", refused).line
                == "fault | rank 2 on node1: thread 3 of 8 more cannot be started | ulimit -u")
        #expect(Report(refused).exitCode == .resources)
    }

    @Test func aLimitedAddressSpaceIsAFault() {
        func line(_ limit: Int) -> String {
            findings(
                "memory",
                FakeCluster.two { $0.memory.limit = ProcessLimit(.addressSpace, limit: limit, used: 200 << 20) }
            ).line
        }
        // A rank needs 1 GiB, four buffers of OpenBLAS and some for the rest.
        #expect(line(1 << 30).hasPrefix("fault | ranks 0, 2 on"))
        #expect(line(1 << 30).contains("the address space of a process is limited (ulimit -v; h_vmem in Grid Engine)"))
        #expect(line(2 << 30).hasPrefix("ok"))
    }

    /// A run of ranks that differ ends with status 64, unless its recipe lets it.
    @Test func theRecipeDecidesOverDifferentKernels() {
        func report(allowing: Bool) -> Report {
            Report(
                FakeCluster.two {
                    if allowing { $0.recipe.settings = [.init("execution.mixedKernels", "allow")] }
                    if $0.rank == 3 { ($0.kernels.core, $0.kernels.possibleCore) = ("SkylakeX", .cooperlake) }
                })
        }
        #expect(report(allowing: false).exitCode == .usage)
        let allowed = report(allowing: true)
        #expect(allowed.exitCode == .done)
        let finding = allowed.entries.first { $0.check == "OpenBLAS" }?.finding
        #expect(
            finding?.state == .warning
                && finding?.remedy == "mpirun -x OPENBLAS_CORETYPE=Haswell for all ranks on all nodes")
    }

    /// All processors could run AVX-512 kernels; on one node somebody chose others.
    @Test func aCoreChosenOnOneNode() {
        let chosen = FakeCluster.two {
            ($0.kernels.core, $0.kernels.possibleCore) = ($0.host == "node1" ? "SkylakeX" : "Haswell", .cooperlake)
            if $0.host == "node0" { $0.kernels.chosenByUser = "Haswell" }
        }
        #expect(findings("OpenBLAS", chosen).line.contains("-x OPENBLAS_CORETYPE=SkylakeX"))
    }

    @Test func anotherFormOfKedgesKernels() {
        let line = findings("OpenBLAS", FakeCluster.two { if $0.rank == 1 { $0.kernels.form = "x86-64-v4" } }).line
        #expect(line.hasPrefix("fault | rank 1 on node0: x86-64-v4 in Kedge's own kernels"))
        #expect(line.contains("same build of Kedge"))
    }

    @Test func kernelsThatDoNotFitTheProcessor() {
        let slow = FakeCluster.two {
            $0.kernels.core = "Prescott"
            $0.kernels.betterCore = "SkylakeX"
        }
        let line = findings("OpenBLAS", slow).line
        #expect(line.contains("Prescott kernels are slow on this processor, which can run SkylakeX"))
        #expect(line.contains("-x OPENBLAS_CORETYPE=SkylakeX"))
        // Pinned on purpose, for the same bits on older nodes.
        let pinned = FakeCluster.two { ($0.kernels.betterCore, $0.kernels.chosenByUser) = ("SkylakeX", "Haswell") }
        #expect(findings("OpenBLAS", pinned).line.hasPrefix("ok"))
    }

    @Test func anotherOpenBLAS() {
        let mixed = FakeCluster.two { if $0.rank == 0 { $0.kernels.version = "OpenBLAS 0.3.29" } }
        let line = findings("OpenBLAS", mixed).line
        #expect(line.hasPrefix("fault | rank 0 on node0: OpenBLAS 0.3.29") && line.contains("same OpenBLAS"))
    }

    /// Builds with OpenMP take their number of threads from OpenMP alone.
    @Test func threadsOfItsOwn() {
        let threaded = FakeCluster.two {
            if $0.host == "node1" { ($0.kernels.threading, $0.kernels.threads) = ("OpenMP", 8) }
        }
        let line = findings("OpenBLAS", threaded).line
        #expect(
            line.contains("ranks 2-3 on node1: OpenBLAS (OpenMP) uses 8 threads") && line.contains("OMP_NUM_THREADS=1")
        )
    }

    @Test func memoryAgainstThePlan() {
        #expect(
            findings("memory", FakeCluster.two()).line
                == "ok | tightest node node0: 2.0 GiB needed, 8.0 GiB free | ")
        let tight = FakeCluster.two {
            if $0.host == "node1" {
                $0.memory.node = NodeMemory(available: 1 << 30, source: "the control group's limit")
            }
        }
        let finding = findings("memory", tight)
        #expect(finding.first?.state == .fault(.resources))
        #expect(
            finding.line.contains(
                "node1: 2 ranks need 2.0 GiB, 1.0 GiB are free according to the control group's limit"))
        #expect(finding.line.hasSuffix("start fewer ranks"))
        #expect(Report(tight).exitCode == .resources)
    }

    @Test func unknownMemoryIsSaid() {
        #expect(
            findings("memory", FakeCluster.two { $0.memory.node = nil }).line.contains("free memory is unknown"))
        #expect(findings("memory", FakeCluster.two { $0.memory.plan = nil }).isEmpty)
    }

    @Test func sharedMemoryForTheWeights() {
        let whole = findings("shared memory", FakeCluster.two()).line
        #expect(whole == "ok | /dev/shm has 1.0 GiB free or more on every node for one copy of the weights, 358 MiB | ")
        let container = FakeCluster.two { if $0.host == "node1" { $0.memory.sharedFree = 64 << 20 } }
        let line = findings("shared memory", container).line
        #expect(
            line.hasPrefix("warning | ranks 2-3 on node1: /dev/shm has 64 MiB free for one copy of the frozen weights"))
        #expect(line.contains("358 MiB; they will be stored in a file in /tmp"))
        #expect(line.contains("--shm-size=576m") && line.contains("emptyDir of medium Memory"))
        let none = findings("shared memory", FakeCluster.two { $0.memory.sharedFree = nil }).line
        #expect(none.contains("ranks 0-3 on node0 and node1: no /dev/shm"))
    }

    @Test func neitherSharedMemoryNorAFile() {
        let full = FakeCluster.two {
            if $0.host == "node0" { ($0.memory.sharedFree, $0.system.temporaryFree) = (64 << 20, 100 << 20) }
        }
        let finding = findings("shared memory", full)
        #expect(finding.first?.state == .fault(.resources))
        #expect(finding.line.contains("ranks 0-1 on node0: /dev/shm has 64 MiB free"))
        #expect(
            finding.line.contains("/tmp has no space for them either") && finding.line.contains("node.temporaryFolder"))
    }

    @Test func sharedMemoryThatIsNotNeeded() {
        let text = "ok | not needed: every rank keeps the frozen weights in its own memory | "
        let spread = FakeCluster.ranks(["a", "b"]) { $0.memory.sharedFree = 0 }
        #expect(findings("shared memory", spread).line == text)
        let apart = FakeCluster.two {
            $0.memory.plan?.sharesWeights = false
            $0.memory.sharedFree = 0
        }
        #expect(findings("shared memory", apart).line == text)
    }

    @Test func openFiles() {
        #expect(findings("open files", FakeCluster.two()).line.hasPrefix("ok | 1024 allowed"))
        let few = FakeCluster.two { if $0.rank == 1 { $0.system.openFiles = 256 } }
        let line = findings("open files", few).line
        #expect(
            line.contains("rank 1 on node0: 256 open files allowed, 264 may be needed") && line.contains("ulimit -n"))
        // The same limit suffices or not by the number of ranks.
        let many = FakeCluster.ranks((0..<600).map { "node\($0 / 8)" })
        #expect(findings("open files", many).line.contains("1024 open files allowed, 1456 may be needed"))
    }

    @Test func hugePagesAreToldAndNothingMore() {
        #expect(findings("huge pages", FakeCluster.two()).line == "ok | madvise | ")
        let mixed = FakeCluster.two { if $0.host == "node1" { $0.system.hugePages = "never" } }
        #expect(findings("huge pages", mixed).line == "ok | madvise, never on node1 | ")
    }

    @Test func temporaryFolder() {
        #expect(findings("temporary", FakeCluster.two()).line == "ok | 1.0 GiB free in /tmp or more on every node | ")
        let full = FakeCluster.two { if $0.host == "node1" { $0.system.temporaryFree = 1 << 20 } }
        #expect(findings("temporary", full).line.contains("rank 2 on node1: 1 MiB free in /tmp"))
        let none = FakeCluster.ranks(["a"]) { $0.system.temporaryFree = nil }
        let line = findings("temporary", none).line
        #expect(line.hasPrefix("warning | folder /tmp") && line.contains("TMPDIR"))
    }

    @Test func runFolder() {
        #expect(findings("run folder", FakeCluster.two()).line == "ok | runs/first is writable, 16.0 GiB free | ")
        let closed = FakeCluster.two { $0.system.runFolder?.isWritable = false }
        let finding = findings("run folder", closed)
        #expect(finding.first?.state == .fault(.cannotWrite) && finding.line.contains("--set run.folder=PATH"))
        let taken = findings("run folder", FakeCluster.two { $0.system.runFolder?.holdsRun = true }).line
        #expect(taken.hasPrefix("warning | runs/first already holds a run") && taken.contains("--overwrite"))
    }
}
