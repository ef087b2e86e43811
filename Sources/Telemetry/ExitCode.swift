/// The exit statuses of `kedge`, stable across releases, so that schedulers and scripts can decide on them.
///
/// From 64 on they follow `sysexits.h` where it has a fitting meaning.
public enum ExitCode: Int32, CaseIterable, Sendable {
    /// The run ended as its recipe says.
    case done = 0
    /// The command line, the recipe or the launch is wrong.
    case usage = 64
    /// An image, a label or a weight file is damaged or of the wrong kind.
    case data = 65
    /// A file or folder that was named does not exist or cannot be read.
    case noInput = 66
    /// Memory, shared memory or disk does not suffice.
    case resources = 69
    /// A fault of the program itself.
    case internalFault = 70
    /// A loss or gradient is not finite.
    case nonFinite = 71
    /// A rank stopped answering.
    case hang = 72
    /// The run folder cannot be written, holds another run, or is in use by one.
    case cannotWrite = 73
    /// The run stopped on request; a checkpoint is saved; the same command resumes from it.
    case resumable = 75
    /// No checkpoint can be used.
    case checkpointUnusable = 76

    /// What the status means and what to do, in one line.
    public var meaning: String {
        switch self {
        case .done: "The run ended as its recipe says."
        case .usage: "The command line, the recipe or the launch is wrong; correct it as the message says."
        case .data: "An image, a label or a weight file is damaged or of the wrong kind; the message names it."
        case .noInput: "A file or folder that was named does not exist or cannot be read."
        case .resources: "Memory, shared memory or disk does not suffice; the message says how much is needed."
        case .internalFault: "A fault of the program itself; report it with the message."
        case .nonFinite: "A loss or gradient is not finite; no update was made with it."
        case .hang: "A rank stopped answering; the message names it and what the others waited for."
        case .cannotWrite: "The run folder cannot be written, holds another run, or is in use by one."
        case .resumable: "The run stopped on request; a checkpoint is saved; the same command resumes from it."
        case .checkpointUnusable: "No checkpoint can be used; the message lists each with its reason."
        }
    }

    /// The page `docs/reference/exit-codes.md`.
    public static var markdown: String {
        """
        # Exit codes

        `mpirun` passes on the status of a failing rank. Restarting with the same command is the right answer to 72, to a status
        that a signal caused (128 and more, such as 137), and to faults of `mpirun` itself (1, 255): `cluster/launch` does so.
        75 concerns whoever asked for the stop: a job script restarts on it where its scheduler had asked. Any other status needs
        a person.

        To ask for a stop send SIGUSR1 to `mpirun`, which passes it on: all ranks finish their step, save and end with 75; before
        the first step they end with 75 and nothing is saved. SIGUSR1 or SIGTERM to one rank does the same. SIGTERM or SIGINT to
        `mpirun` gives the ranks one second: a step that ends in it is saved, and `mpirun` ends with 1 in any case. Without
        `mpirun` a first SIGINT asks, a second ends the process at once with 130. Whatever happens, the same command resumes from
        the last checkpoint.

        `kedge doctor` ends with the status of its first fault, the one a run would end with; warnings are 0.

        | status | meaning |
        |---|---|

        """ + allCases.map { "| \($0.rawValue) | \($0.meaning) |\n" }.joined()
    }
}
