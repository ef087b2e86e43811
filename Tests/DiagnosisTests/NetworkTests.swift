import Collectives
import Diagnosis
import Testing

/// Networks between nodes.
@Suite struct NetworkTests {
    private typealias Interface = NetworkFacts.Interface

    @Test func aSubnetOnAllNodes() {
        #expect(findings("network", FakeCluster.two()).line == "ok | 10.0.0.0/24 on all 2 nodes | ")
        #expect(
            findings("network", FakeCluster.ranks(["a", "a"])).line
                == "ok | one node: ranks communicate through its memory | ")
    }

    @Test func noSubnetInCommon() {
        let apart = FakeCluster.two {
            if $0.host == "node1" { $0.network.interfaces[1] = Interface("ens3", "10.1.0.2", "10.1.0.0/24") }
        }
        let line = findings("network", apart).line
        #expect(
            line.hasPrefix("warning | no subnet is on all nodes: node0 has eth0 10.0.0.1 and node1 has ens3 10.1.0.2 |")
        )
        #expect(line.contains("--mca btl_tcp_if_include"))
    }

    @Test func version6Counts() {
        let modern = FakeCluster.two {
            let number = $0.host == "node1" ? 2 : 1
            $0.network.interfaces[1] = Interface("eth0", "fd00::\(number)", "fd00::/64")
        }
        #expect(findings("network", modern).line == "ok | fd00::/64 on all 2 nodes | ")
    }

    /// Docker's bridge has the same address on every node, which is no network between them.
    @Test func bridgesAreNoNetwork() {
        let docker = Interface("docker0", "172.17.0.1", "172.17.0.0/16")
        let line = findings("network", FakeCluster.two { $0.network.interfaces.append(docker) }).line
        #expect(line.hasPrefix("warning | docker0 on node0 and node1 leads nowhere outside the node"))
        #expect(line.hasSuffix("mpirun --mca btl_tcp_if_include 10.0.0.0/24 --mca oob_tcp_if_include 10.0.0.0/24"))
        let only = FakeCluster.two { $0.network.interfaces = [docker] }
        #expect(findings("network", only).line.contains("no subnet is on all nodes: node0 has none and node1 has none"))
    }

    @Test func aNetworkNamedByTheUser() {
        func line(_ include: String) -> String {
            findings(
                "network",
                FakeCluster.two {
                    $0.network.include = include
                    $0.network.interfaces.append(Interface("docker0", "172.17.0.1", "172.17.0.0/16"))
                    if $0.host == "node0" { $0.network.interfaces.append(Interface("ib0", "10.9.0.1", "10.9.0.0/16")) }
                }
            ).line
        }
        #expect(line("10.0.0.0/24") == "ok | btl_tcp_if_include=10.0.0.0/24, present on all 2 nodes | ")
        #expect(line("eth0").hasPrefix("ok"))
        #expect(line("ib0").hasPrefix("warning | btl_tcp_if_include=ib0, missing on node1"))
        #expect(line("ib0").hasSuffix("--mca btl_tcp_if_include 10.0.0.0/24 --mca oob_tcp_if_include 10.0.0.0/24"))
    }

    @Test func silentRanksAreToldWithTheNetworksOfTheNode() {
        let message = Deadline.message(
            seconds: 120, host: "node0",
            interfaces: [Interface("lo", "127.0.0.1", "127.0.0.0/8"), Interface("eth0", "10.0.0.1", "10.0.0.0/24")])
        #expect(message.contains("for 120 s; networks of node0: eth0 10.0.0.0/24;"))
        #expect(message.contains("--mca btl_tcp_if_include NETWORK"))
    }
}

/// Wall clocks of nodes.
@Suite struct ClockTests {
    @Test func clocksThatAgree() {
        let near = FakeCluster.two {
            if $0.host == "node1" { ($0.clock.ahead, $0.clock.uncertainty) = (0.25, 0.0625) }
        }
        #expect(findings("clocks", near).line == "ok | differ by less than 313 ms | ")
        #expect(findings("clocks", FakeCluster.ranks(["a", "a"])).isEmpty)
    }

    @Test func clocksThatDiffer() {
        let late = FakeCluster.two { if $0.host == "node1" { ($0.clock.ahead, $0.clock.uncertainty) = (-90, 0.1) } }
        let line = findings("clocks", late).line
        #expect(
            line.hasPrefix("warning | the clock of node1 is 90.0 s behind that of node0 |") && line.contains("chrony"))
    }

    /// A difference that a slow exchange explains is none.
    @Test func theRoundTripBoundsWhatIsKnown() {
        let slow = FakeCluster.two { if $0.host == "node1" { ($0.clock.ahead, $0.clock.uncertainty) = (3, 2.5) } }
        #expect(findings("clocks", slow).line.hasPrefix("ok"))
    }

    /// However long the ranks take, the true difference lies within the bounds.
    @Test(.timeLimit(.minutes(1))) func theDifferenceIsFoundWithinItsBounds() throws {
        let shifts = [0.0, 5, -3600]
        let clocks = try InProcessCommunicator.run(ranks: shifts.count) { communicator in
            return try ClockFacts.measure(communicator, rounds: 3) { Self.seconds() + shifts[communicator.rank] }
        }
        #expect(clocks[0] == ClockFacts())
        for (clock, shift) in zip(clocks, shifts).dropFirst() {
            #expect(clock.uncertainty > 0 && abs(clock.ahead - shift) <= clock.uncertainty + 1e-6)
        }
    }

    private static let origin = ContinuousClock.now

    /// Seconds of one steady clock for all ranks.
    private static func seconds() -> Double { (ContinuousClock.now - origin) / .seconds(1) }
}
