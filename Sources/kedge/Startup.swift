import Collectives
import Foundation
import Kernels
import Machine
import Synchronization
import Telemetry

/// Process set-up around a command: processor check, MPI, signals, exit.
enum Startup {
    /// Environment variable of a process that has already replaced itself, so it happens only once.
    private static let marker = "KEDGE_RESTARTED"

    /// Checks the processor and makes OpenBLAS load the right kernels; runs before MPI is initialised.
    ///
    /// OpenBLAS chooses its kernels when it is loaded, so if that choice is wrong the process replaces itself, once.
    static func prepareProcess() {
        openStandardDescriptors()
        let flags = BLASEnvironment.processorFlags()
        if let missing = BLASEnvironment.missingInstructionSets(flags: flags) {
            Failure.report(
                "this processor lacks \(missing.joined(separator: ", ")); use an x86-64-v3 machine "
                    + "(Haswell, Zen or newer)")
            exit(ExitCode.resources.rawValue)
        }
        // A file that exceeds its size limit is then an error of the write, reported in its own line.
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
            // Reached only if the replacement failed: slower kernels are no reason to stop.
        }
        BLASEnvironment.useSingleThread()
    }

    /// Opens /dev/null in place of standard descriptors that are closed.
    ///
    /// Otherwise the next file or socket gets the number, and what is written to standard error goes into it.
    private static func openStandardDescriptors() {
        while true {
            let descriptor = open("/dev/null", O_RDWR)
            guard (0...2).contains(descriptor) else {
                if descriptor > 2 { close(descriptor) }
                return
            }
        }
    }

    /// Runs a command's work on all ranks and ends the process with its status.
    ///
    /// - Parameter start: Initialises the communicator.
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
            exit(StandardOutput.finish(code).rawValue)
        } catch {
            // Errors that all ranks hit are reported once: the others give rank 0 five seconds to end them.
            signal(SIGTERM, SIG_DFL)
            communicator.activity.work(at: "about to end with an error")
            if !communicator.isRoot { Thread.sleep(forTimeInterval: 5) }
            let place = communicator.worldSize > 1 ? "[rank \(communicator.rank) \(communicator.hostName)] " : ""
            Failure.report(place + Failure.line(for: error))
            let code = Failure.exitCode(for: error).rawValue
            // Ending the others needs mpirun; if that does not respond, this rank can only end itself.
            Thread.detachNewThread {
                Thread.sleep(forTimeInterval: 5)
                _exit(code)
            }
            communicator.abort(code: code)
            exit(code)
        }
    }

    private static let hasMet = Atomic<Bool>(false)

    /// Ends the process if the ranks have not met within `seconds`: MPI itself waits forever for a rank lost during
    /// start.
    private static func endUnlessMet(after seconds: Double) {
        Thread.detachNewThread {
            Thread.sleep(forTimeInterval: seconds)
            guard !hasMet.load(ordering: .relaxed) else { return }
            Failure.report(
                "not all ranks connected within \(Int(seconds)) s: one is lost or unreachable")
            _exit(ExitCode.hang.rawValue)
        }
    }

    /// Runs a command that starts ranks itself, and ends the process with its status.
    ///
    /// MPI is never initialised here: a process with MPI initialised must not start other MPI programs.
    static func outsideRanks(_ work: () throws -> ExitCode) -> Never {
        do {
            exit(StandardOutput.finish(try work()).rawValue)
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

    /// True once a signal has requested the run to stop.
    static var isStopRequested: Bool { stopRequests.load(ordering: .relaxed) > 0 }

    /// SIGUSR1, SIGTERM and the first SIGINT end the run after the current step; a second SIGINT ends it at once.
    ///
    /// - Parameter others: Further signals with the same effect, for a command with processes and files to clean up.
    static func watchSignals(_ others: [Int32] = []) {
        for number in [SIGUSR1, SIGTERM] + others {
            signal(number) { _ in Startup.stopRequests.add(1, ordering: .relaxed) }
        }
        signal(SIGINT) { _ in
            if Startup.stopRequests.add(1, ordering: .relaxed).oldValue > 0 { _exit(130) }
        }
    }
}
