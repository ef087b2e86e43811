import Foundation

extension NetworkFacts {
    /// This node's interfaces, and the settings of the environment for them.
    static func now(_ environment: [String: String]) -> NetworkFacts {
        var facts = NetworkFacts()
        facts.interfaces = interfacesNow()
        facts.include = environment["OMPI_MCA_btl_tcp_if_include"]
        return facts
    }

    /// Addresses of the interfaces that are up, in system order.
    static func interfacesNow() -> [Interface] {
        var first: UnsafeMutablePointer<ifaddrs>?
        guard getifaddrs(&first) == 0 else { return [] }
        defer { freeifaddrs(first) }
        var interfaces: [Interface] = []
        var next = first
        while let entry = next?.pointee {
            next = entry.ifa_next
            guard entry.ifa_flags & UInt32(IFF_UP) != 0, let address = bytes(entry.ifa_addr),
                let mask = bytes(entry.ifa_netmask), mask.count == address.count
            else { continue }
            let network = zip(address, mask).map { $0 & $1 }
            let length = mask.reduce(0) { $0 + $1.nonzeroBitCount }
            interfaces.append(
                Interface(String(cString: entry.ifa_name), text(address), "\(text(network))/\(length)"))
        }
        return interfaces
    }

    /// The 4 or 16 bytes of an internet address; nil for other kinds.
    private static func bytes(_ address: UnsafeMutablePointer<sockaddr>?) -> [UInt8]? {
        guard let address else { return nil }
        switch Int32(address.pointee.sa_family) {
        case AF_INET:
            return address.withMemoryRebound(to: sockaddr_in.self, capacity: 1) { pointer in
                withUnsafeBytes(of: pointer.pointee.sin_addr) { Array($0) }
            }
        case AF_INET6:
            return address.withMemoryRebound(to: sockaddr_in6.self, capacity: 1) { pointer in
                withUnsafeBytes(of: pointer.pointee.sin6_addr) { Array($0) }
            }
        default: return nil
        }
    }

    private static func text(_ address: [UInt8]) -> String {
        var text = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
        let family = address.count == 4 ? AF_INET : AF_INET6
        guard inet_ntop(family, address, &text, socklen_t(text.count)) != nil else { return "?" }
        return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
