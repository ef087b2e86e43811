import Machine
import Collectives
import Foundation
import Kernels
import Synchronization
import Telemetry

/// What a process does before and around its command.
enum Startup {
    /// Set in the environment of a process that has started itself again, so that it happens once.
    private static let marker = "KEDGE_RESTARTED"

    /// Checks the processor and makes OpenBLAS load the right kernels; runs before MPI is initialised.
    ///
    /// OpenBLAS chooses while it loads, so where its choice is wrong the process replaces itself, once.
    static func prepareProcess() {
        let flags = BLASEnvironment.processorFlags()
        if let missing = BLASEnvironment.missingInstructionSets(flags: flags) {
            Failure.report(
                "this processor lacks \(missing.joined(separator: ", ")); run Kedge on an x86-64-v3 machine "
                    + "(Haswell, Zen or newer)")
            exit(ExitCode.resources.rawValue)
        }
        // A file that may not grow is an error of the call that writes it, with a line of its own.
        signal(SIGXFSZ, SIG_IGN)
        let environment = ProcessInfo.processInfo.environment
        if environment[marker] == nil,
            let core = BLASEnvironment.coreTypeToSet(
                coreName: BLASEnvironment.coreName, flags: flags, environment: environment)
        {
            setenv("OPENBLAS_CORETYPE", core, 1)
            setenv("OPENBLAS_NUM_THREADS", "1", 1)
            setenv(marker, "1", 1)
            let arguments = CommandLine.arguments.map { strdup($0) } + [nil]
            execv("/proc/self/exe", arguments)
            // Only reached when the replacement failed: slower kernels are no reason to stop.
        }
        BLASEnvironment.useSingleThread()
    }

    /// Runs a command's work on all ranks and ends the process with its status.
    ///
    /// - Parameter start: How the ranks meet.
    static func onAllRanks(
        start: () throws -> any Communicator = { try Launch.detect().start() },
        _ work: (any Communicator) throws -> ExitCode
    ) -> Never {
        let communicator: any Communicator
        do {
            endUnlessMet(after: 600)
            communicator = try start()
            hasMet.store(true, ordering: .relaxed)
        } catch {
            Failure.report(Failure.line(for: error))
            exit(Failure.exitCode(for: error).rawValue)
        }
        do {
            let code = try work(communicator)
            try (communicator as? MPICommunicator)?.finalize()
            exit(code.rawValue)
        } catch {
            // Faults that all ranks meet are told once: the others give rank 0 five seconds to end them.
            signal(SIGTERM, SIG_DFL)
            communicator.activity.work(at: "about to end with an error")
            if !communicator.isRoot { Thread.sleep(forTimeInterval: 5) }
            let place = communicator.worldSize > 1 ? "[rank \(communicator.rank) \(communicator.hostName)] " : ""
            Failure.report(place + Failure.line(for: error))
            let code = Failure.exitCode(for: error).rawValue
            // Ending the others needs mpirun; if that does not answer, ending this rank is all that can be done.
            Thread.detachNewThread {
                Thread.sleep(forTimeInterval: 5)
                _exit(code)
            }
            communicator.abort(code: code)
            exit(code)
        }
    }

    private static let hasMet = Atomic<Bool>(false)

    /// Ends the process if the ranks have not met by then: MPI itself waits for ever for one that was lost in the start.
    private static func endUnlessMet(after seconds: Double) {
        Thread.detachNewThread {
            Thread.sleep(forTimeInterval: seconds)
            guard !hasMet.load(ordering: .relaxed) else { return }
            Failure.report(
                "the ranks have not met within \(Int(seconds)) s of the start: one is lost or cannot be reached")
            _exit(ExitCode.hang.rawValue)
        }
    }

    /// Runs a command that starts ranks itself, and ends the process with its status.
    ///
    /// MPI is never initialised here: a process that has done so must not start others.
    static func outsideRanks(_ work: () throws -> ExitCode) -> Never {
        do {
            exit(try work().rawValue)
        } catch {
            Failure.report(Failure.line(for: error))
            exit(Failure.exitCode(for: error).rawValue)
        }
    }

    /// The absolute path of this program.
    static var executable: String {
        (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? CommandLine.arguments[0]
    }

    private static let stopRequests = Atomic<Int>(0)

    /// True once a signal asked the run to end.
    static var isStopRequested: Bool { stopRequests.load(ordering: .relaxed) > 0 }

    /// SIGUSR1 and SIGTERM end the run after the current step; a first SIGINT too, a second one at once.
    ///
    /// - Parameter others: Signals that ask the same of a command which has processes and files to clear away.
    static func watchSignals(_ others: [Int32] = []) {
        for number in [SIGUSR1, SIGTERM] + others {
            signal(number) { _ in Startup.stopRequests.add(1, ordering: .relaxed) }
        }
        signal(SIGINT) { _ in
            if Startup.stopRequests.add(1, ordering: .relaxed).oldValue > 0 { _exit(130) }
        }
    }
}
