/// The exit codes of `kedge`, stable across releases, so that schedulers and scripts can rely on them.
///
/// From 64 on they follow `sysexits.h` where it has a fitting meaning.
public enum ExitCode: Int32, CaseIterable, Sendable {
    /// The run completed its recipe.
    case done = 0
    /// The command line, the recipe or the launch is wrong.
    case usage = 64
    /// An image, a label or a weight file is damaged or of the wrong kind.
    case data = 65
    /// A file or folder that was named does not exist or cannot be read.
    case noInput = 66
    /// Memory, address space, threads, shared memory or disk space is insufficient.
    case resources = 69
    /// An internal error of the program.
    case internalFault = 70
    /// A loss or gradient is not finite.
    case nonFinite = 71
    /// A rank stopped responding.
    case hang = 72
    /// The run folder or standard output cannot be written, or the folder holds another run, is in use by one, or was
    /// taken from this run.
    case cannotWrite = 73
    /// The run stopped on request; the same command continues it.
    case resumable = 75
    /// No checkpoint is usable.
    case checkpointUnusable = 76

    /// The meaning and the remedy, in one line.
    public var meaning: String {
        switch self {
        case .done: "The run completed its recipe."
        case .usage: "The command line, the recipe or the launch is wrong; correct it as described in the message."
        case .data: "An image, a label or a weight file is damaged or of the wrong kind; the message names it."
        case .noInput: "A file or folder that was named does not exist or cannot be read."
        case .resources:
            "Memory, address space, threads, shared memory or disk space is insufficient; the message states the limit or the need."
        case .internalFault: "An internal error of the program; report it with the message."
        case .nonFinite: "A loss or gradient is not finite; it was not used for an update."
        case .hang: "A rank stopped responding; the message names it and the operation the others waited in."
        case .cannotWrite:
            "The run folder or standard output cannot be written, or the folder holds another run, is in use by one, or was "
                + "taken from this run."
        case .resumable: "The run stopped on request; the same command continues it."
        case .checkpointUnusable: "No checkpoint is usable; the message lists each with its reason."
        }
    }

    /// The page `docs/reference/exit-codes.md`.
    public static var markdown: String {
        """
        # Exit codes

        `mpirun` forwards the status of a failing rank. Restarting with the same command is the right response to 72, to a status
        caused by a signal (128 and above, such as 137), and to failures of `mpirun` itself (1, 255): `cluster/launch` does so.
        75 concerns whoever requested the stop: a job script restarts if its scheduler did. Any other status requires
        human intervention.

        To request a stop, send SIGUSR1 to `mpirun`, which forwards it: all ranks finish their step, save and exit with 75; before
        the first step they exit with 75 and nothing is saved. SIGUSR1 or SIGTERM to one rank has the same effect. SIGTERM or SIGINT
        (Ctrl-C) to `mpirun` gives the ranks one second: a step that ends within it is saved, and `mpirun` exits with 1 in any case. Without
        `mpirun`, a first SIGINT requests a stop, a second ends the process at once with 130. SIGTERM ends a process at once with 143 before
        the run begins, and when it comes again, two seconds or more after the first. A rank that was asked to stop and makes no progress
        for 20 s (for `watchdog.saveLimitSeconds` during a save) ends with 72, without a save. In every case, the same command resumes from
        the last checkpoint. Steps of more than a second are each saved as they end, shorter ones every second or few
        (`checkpoint.everySeconds=auto`), so that no end of a run, `kill -9` included, costs more than the step under way or a few seconds.

        Beside Kedge's one line, `mpirun` prints a box of its own for every status other than 0; `mpirun --quiet` leaves it out.

        `kedge doctor` exits with the status of its first fault, the one a run would exit with; with warnings only, it exits with 0.

        | status | meaning |
        |---|---|

        """ + allCases.map { "| \($0.rawValue) | \($0.meaning) |\n" }.joined()
    }
}
