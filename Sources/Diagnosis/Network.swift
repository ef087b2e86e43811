import Foundation

/// The network interfaces of a rank's node and MPI's settings for them.
package struct NetworkFacts: Codable, Sendable, Equatable {
    /// An address of a network interface that is up.
    package struct Interface: Codable, Sendable, Equatable {
        package var name: String
        package var address: String
        /// The subnet, as in `10.0.0.0/24`.
        package var subnet: String

        package init(_ name: String, _ address: String, _ subnet: String) {
            (self.name, self.address, self.subnet) = (name, address, subnet)
        }

        /// True for interfaces that container and virtual machine software creates inside a node.
        var isVirtual: Bool {
            [
                "docker", "br-", "virbr", "veth", "cni", "flannel", "cali", "lxc", "lxd", "podman", "vnet", "vmnet",
                "vboxnet", "weave", "kube",
            ].contains { name.hasPrefix($0) }
        }

        /// True if packets from another node may arrive: excludes the loopback and link-local addresses.
        var mayReachNodes: Bool {
            !["127.", "169.254.", "fe80:"].contains { address.hasPrefix($0) } && address != "::1"
        }
    }

    /// Addresses in system order; IPv4 and IPv6.
    package var interfaces: [Interface] = []
    /// The value of `btl_tcp_if_include`, if passed to `mpirun` or set in the environment.
    package var include: String?

    package init() {}
}

extension Check {
    /// Checks that the nodes share a network, and that no interface can be mistaken for one.
    static let network = Check("network") { ranks in
        let nodes = Node.all(of: ranks)
        guard nodes.count > 1 else { return [.ok("one node: ranks communicate through its memory")] }
        let shared = sharedSubnets(nodes)
        if let include = nodes[0].ranks[0].network.include { return including(include, nodes) }
        guard let best = shared.first else { return [noSharedSubnet(nodes)] }
        let misleading = nodes.flatMap { node in
            node.ranks[0].network.interfaces.filter { $0.isVirtual && $0.mayReachNodes }.map { ($0.name, node) }
        }
        guard misleading.isEmpty else {
            var names: [String] = []
            for (name, _) in misleading where !names.contains(name) { names.append(name) }
            let hosts = Node.all(of: misleading.map { $0.1.ranks[0] }).map(\.host)
            return [
                .warning(
                    "\(list(names)) on \(list(hosts)) lead\(names.count == 1 ? "s" : "") nowhere outside the node, but "
                        + "Open MPI may try \(names.count == 1 ? "it" : "them"); \(best) reaches all nodes",
                    remedy: remedy(best))
            ]
        }
        return [.ok("\(list(shared)) on all \(nodes.count) nodes")]
    }

    /// Subnets that every node has on a physical interface, in the order of the first node, IPv4 first.
    private static func sharedSubnets(_ nodes: [Node]) -> [String] {
        let subnets = nodes.map { node in
            node.ranks[0].network.interfaces.filter { $0.mayReachNodes && !$0.isVirtual }.map(\.subnet)
        }
        var shared: [String] = []
        for subnet in subnets[0] where !shared.contains(subnet) && subnets.allSatisfy({ $0.contains(subnet) }) {
            shared.append(subnet)
        }
        return shared.filter { !$0.contains(":") } + shared.filter { $0.contains(":") }
    }

    private static func noSharedSubnet(_ nodes: [Node]) -> Finding {
        let addresses = nodes.map { node in
            let own = node.ranks[0].network.interfaces.filter { $0.mayReachNodes && !$0.isVirtual }
            return "\(node.host) has \(list(own.map { "\($0.name) \($0.address)" }))"
        }
        return .warning(
            "no subnet is on all nodes: \(list(addresses))",
            remedy: "if the nodes reach each other through a router, select their networks: "
                + remedy("NETWORK,NETWORK"))
    }

    private static func including(_ include: String, _ nodes: [Node]) -> [Finding] {
        let wanted = include.split(separator: ",").map { $0.trimmingCharacters(in: .whitespaces) }
        let without = nodes.filter { node in
            !node.ranks[0].network.interfaces.contains { wanted.contains($0.name) || wanted.contains($0.subnet) }
        }
        guard !without.isEmpty else {
            return [.ok("btl_tcp_if_include=\(include), present on all \(nodes.count) nodes")]
        }
        return [
            .warning(
                "btl_tcp_if_include=\(include), missing on \(list(without.map(\.host)))",
                remedy: "select a network that all nodes have"
                    + (sharedSubnets(nodes).first.map { ": " + remedy($0) } ?? ""))
        ]
    }

    private static func remedy(_ network: String) -> String {
        "mpirun --mca btl_tcp_if_include \(network) --mca oob_tcp_if_include \(network)"
    }
}
