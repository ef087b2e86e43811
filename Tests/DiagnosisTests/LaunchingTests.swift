import Diagnosis
import Kernels
import Machine
import Telemetry
import Testing

/// Launcher, MPI library, program and the places of the ranks.
@Suite struct LaunchingTests {
    @Test func ranksThatFoundEachOtherAreFine() {
        #expect(findings("launcher", FakeCluster.two()).line == "ok | mpirun, 4 ranks | ")
        let alone = findings("launcher", FakeCluster.ranks(["node0"]))
        #expect(alone.line == "ok | started alone, without mpirun: a run of one rank | ")
    }

    @Test func promisedRanksThatAreNotThereAreAFault() {
        let lone = FakeCluster.ranks(["node0"]) {
            $0.launch.expectedRanks = 4
            $0.launch.evidence = "SLURM_STEP_NUM_TASKS=4"
        }
        let finding = findings("launcher", lone)
        #expect(finding.first?.state == .fault(.usage))
        #expect(finding.line.contains("SLURM_STEP_NUM_TASKS=4, but this process is alone: 4 runs of one rank"))
        #expect(finding.line.contains("srun --mpi=pmix"))
        #expect(Report(lone).exitCode == .usage)
    }

    @Test func anotherMPIOnOneRankIsNamed() {
        #expect(findings("MPI library", FakeCluster.two()).line == "ok | Open MPI v4.1.4 on all ranks | ")
        let mixed = FakeCluster.two { if $0.rank == 2 { $0.launch.library = "Open MPI v5.0.1, package: x" } }
        let finding = findings("MPI library", mixed)
        #expect(finding.first?.state == .fault(.usage))
        #expect(
            finding.line.contains(
                "rank 2 on node1 loaded Open MPI v5.0.1, ranks 0-1, 3 on node0 and node1 have Open MPI v4.1.4"))
        #expect(finding.line.contains("same Open MPI on every node"))
    }

    @Test func anotherPackageOfTheSameMPIIsAWarning() {
        let mixed = FakeCluster.two { if $0.rank > 2 { $0.launch.library = "Open MPI v4.1.4, package: home-made" } }
        #expect(
            findings("MPI library", mixed).line.hasPrefix(
                "warning | rank 3 on node1: another package of Open MPI v4.1.4"))
    }

    @Test func anotherProgramOnOneNodeIsNamed() {
        #expect(findings("program", FakeCluster.two()).line.contains("aaaaaaaaaaaa on all ranks"))
        let finding = findings("program", FakeCluster.two { if $0.rank == 3 { $0.program = "dddddddddddddd" } })
        #expect(finding.first?.state == .fault(.usage))
        #expect(
            finding.line.contains(
                "rank 3 on node1 runs a different kedge (dddddddddddd) than ranks 0-2 on node0 and node1"))
        #expect(finding.line.contains("copy one build to all nodes"))
    }

    @Test func evenAndUnevenNodes() {
        #expect(
            findings("nodes", FakeCluster.two()).line
                == "ok | 2 ranks on each of 2 nodes: node0 (0-1) and node1 (2-3) | ")
        #expect(findings("nodes", FakeCluster.ranks(["a", "a"])).line == "ok | 2 ranks on a | ")
        let uneven = findings("nodes", FakeCluster.ranks(["a", "a", "a", "b"])).line
        #expect(uneven.hasPrefix("warning | uneven: 3 ranks on a and 1 rank on b"))
        #expect(uneven.contains("--map-by ppr:2:node"))
    }

    @Test func manyNodesStayOnALine() {
        let hosts = (0..<64).map { "node\($0 / 2)" }
        let line = findings("nodes", FakeCluster.ranks(hosts)).line
        #expect(line.contains("2 ranks on each of 32 nodes: node0 (0-1), node1 (2-3), node2 (4-5) and 29 more"))
        let odd = FakeCluster.ranks(hosts) { if [5, 6, 7, 40].contains($0.rank) { $0.program = "dddddddddddddd" } }
        #expect(
            findings("program", odd).line
                .contains("ranks 5-7, 40 on node2, node3 and node20 run a different kedge"))
    }
}

/// Threads against the cores they may run on.
@Suite struct PlacementTests {
    @Test func threadsOnCoresOfTheirOwn() {
        #expect(
            findings("cores", FakeCluster.two()).line == "ok | each rank has 4 threads on 4 cores of its own | ")
    }

    /// What Open MPI does with two ranks unless told otherwise.
    @Test func ranksBoundToOneCoreOfManyAreTold() {
        let bound = FakeCluster.ranks(["a", "a"]) {
            $0.cores.bound = CoreAffinity(cores: [$0.rank])
            $0.cores.unbound = CoreAffinity(cores: Array(0..<64))
            $0.cores.threads = 1
        }
        let line = findings("cores", bound).line
        #expect(line.hasPrefix("warning | ranks 0-1 on a: bound to 2 cores of the 64 the node has"))
        #expect(line.contains("--bind-to none, or --map-by ppr:2:node:PE=32 --bind-to core"))
    }

    @Test func severalThreadsOnOneCore() {
        let trapped = FakeCluster.two {
            $0.cores.bound = CoreAffinity(cores: [$0.rank])
            $0.cores.isAsked = true
        }
        let line = findings("cores", trapped).line
        #expect(line.contains("ranks 0-3 on node0 and node1: 4 threads on 1 core, bound to it by the launcher"))
        #expect(line.contains("the node has 8") && line.contains("ppr:2:node:PE=4"))
        let small = FakeCluster.ranks(["a"]) {
            $0.cores.threads = 6
            $0.cores.isAsked = true
        }
        #expect(
            findings("cores", small).line
                == "warning | 6 threads on 4 cores | set execution.threads=4, or 0 for the rank's share")
    }

    @Test func ranksOnTheSameCores() {
        let shared = FakeCluster.ranks(["a", "a", "b"]) {
            $0.cores.bound = CoreAffinity(cores: [0, 1, 2, 3])
            $0.cores.unbound = $0.cores.bound
            $0.cores.isAsked = true
        }
        let line = findings("cores", shared).line
        #expect(line.hasPrefix("warning | ranks 0-1 on a: 8 threads share cores 0-3"))
        #expect(line.contains("execution.threads=2"))
        let fair = shared.map { rank in
            var rank = rank
            rank.cores.threads = 2
            return rank
        }
        #expect(findings("cores", fair).line == "ok | each rank has 2 threads on 4 cores shared with other ranks | ")
    }

    @Test func moreRanksThanCores() {
        let crowd = FakeCluster.ranks(["a", "a", "a"]) {
            $0.cores.bound = CoreAffinity(cores: [0, 1])
            $0.cores.unbound = $0.cores.bound
            $0.cores.threads = 1
        }
        let line = findings("cores", crowd).line
        #expect(line.contains("3 threads share cores 0-1") && line.contains("start 2 or fewer ranks on the node"))
        #expect(line.contains("mpi_yield_when_idle"))
    }

    /// What is wrong on one node hides nothing on the next.
    @Test func everyNodeIsJudged() {
        let cluster = FakeCluster.ranks(["a", "b"]) {
            if $0.host == "a" { $0.cores.threads = 9 }
            if $0.host == "b" { $0.cores.unbound = CoreAffinity(cores: Array(0..<64)) }
        }
        let found = findings("cores", cluster).map(\.found)
        #expect(found == ["rank 0 on a: 9 threads on 4 cores", "rank 1 on b: bound to 4 cores of the 64 the node has"])
    }

    /// Two ranks on one core while another has one for itself, as in a wrong rankfile.
    @Test func onlyOverlappingRanksAreNamed() {
        let cluster = FakeCluster.ranks(["a", "a", "a"]) {
            $0.cores.bound = CoreAffinity(cores: [$0.rank == 1 ? 7 : 2])
            $0.cores.unbound = $0.cores.bound
            $0.cores.threads = 1
        }
        #expect(findings("cores", cluster).line.hasPrefix("warning | ranks 0, 2 on a: 2 threads share cores 2 |"))
    }
}
