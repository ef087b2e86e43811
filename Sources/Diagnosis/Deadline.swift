public import Collectives
import Foundation
public import Machine

/// Reports when ranks wait for each other too long, which MPI itself does indefinitely.
public enum Deadline {
    /// Starts the timer, for the rest of the process's life. Throws `ResourceShortage` if the system refuses its thread.
    ///
    /// Rank 0 reports first; the others give it five seconds to end them, so that a single line is printed.
    ///
    /// - Parameters:
    ///   - seconds: The time limit.
    ///   - launch: How this process was started.
    ///   - expired: Receives the message on a separate thread; it may end the process.
    public static func start(seconds: Double, launch: Launch, expired: @escaping @Sendable (String) -> Void)
        throws(ResourceShortage)
    {
        let patience = (launch.environmentRank ?? 0) == 0 ? seconds : seconds + 5
        try SystemThread.start("kedge-deadline") {
            Thread.sleep(forTimeInterval: patience)
            expired(message(seconds: seconds, host: localHostName(), interfaces: NetworkFacts.interfacesNow()))
        }
    }

    /// The message: the time waited, the networks of this node, and the remedy.
    package static func message(seconds: Double, host: String, interfaces: [NetworkFacts.Interface]) -> String {
        let own = interfaces.filter(\.mayReachNodes).map { "\($0.name) \($0.subnet)" }
        return "the ranks did not connect or respond for \(Int(seconds)) s; networks of \(host): \(list(own)); "
            + "select one that reaches all nodes: mpirun --mca btl_tcp_if_include NETWORK "
            + "--mca oob_tcp_if_include NETWORK"
    }
}
