public import Collectives
import Foundation

/// Speaks up when ranks keep each other waiting, which MPI itself does without end.
public enum Deadline {
    /// Starts to count, for the rest of the process's life.
    ///
    /// Rank 0 speaks first; the others give it five seconds to end them, so that one line is told.
    ///
    /// - Parameters:
    ///   - seconds: How long to wait.
    ///   - launch: How this process was started.
    ///   - expired: Gets one line on a thread of its own; it may end the process.
    public static func start(seconds: Double, launch: Launch, expired: @escaping @Sendable (String) -> Void) {
        let patience = (launch.environmentRank ?? 0) == 0 ? seconds : seconds + 5
        let thread = Thread {
            Thread.sleep(forTimeInterval: patience)
            expired(message(seconds: seconds, host: localHostName(), interfaces: NetworkFacts.interfacesNow()))
        }
        thread.name = "deadline"
        thread.start()
    }

    /// The line that is told: how long, what this node could be reached by, and what to try.
    package static func message(seconds: Double, host: String, interfaces: [NetworkFacts.Interface]) -> String {
        let own = interfaces.filter(\.mayReachNodes).map { "\($0.name) \($0.subnet)" }
        return "the ranks did not find each other or answer for \(Int(seconds)) s; networks of \(host): \(list(own)); "
            + "name one that reaches all nodes: mpirun --mca btl_tcp_if_include NETWORK "
            + "--mca oob_tcp_if_include NETWORK"
    }
}
