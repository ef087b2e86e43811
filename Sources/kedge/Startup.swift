import Collectives
import Foundation
import Kernels
import Machine
import Synchronization
import Telemetry

/// Process set-up around a command: processor check, MPI, exit.
enum Startup {
    /// Environment variable of a process that has already replaced itself, so it happens only once.
    private static let marker = "KEDGE_RESTARTED"

    /// Bytes without which the program does not get as far as the memory check of a run.
    private static let leastMemory = 8 << 20

    /// Checks the processor and makes OpenBLAS load the right kernels; runs before MPI is initialised.
    ///
    /// OpenBLAS chooses its kernels when it is loaded, so if that choice is wrong the process replaces itself, once.
    static func prepareProcess() {
        openStandardDescriptors()
        if let memory = NodeMemory.now(), memory.available < leastMemory {
            Failure.report(
                "\(memory.available >> 20) MiB of memory are free according to \(memory.source), and the program alone "
                    + "takes \(leastMemory >> 20) MiB; raise the limit")
            exit(ExitCode.resources.rawValue)
        }
        let flags = BLASEnvironment.processorFlags()
        if let missing = BLASEnvironment.missingInstructionSets(flags: flags) {
            Failure.report(
                "this processor lacks \(missing.joined(separator: ", ")); use an x86-64-v3 machine "
                    + "(Haswell, Zen or newer)")
            exit(ExitCode.resources.rawValue)
        }
        // Buffers that a thread has freed serve every thread: the peak of memory does not depend on which one took a job.
        Allocator.shareOneArena()
        MemoryExhaustion.onExhaustion { shortage in
            Failure.report("\(shortage)")
            _exit(ExitCode.resources.rawValue)
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
            if Launch.detect().launcher != .none {
                // MPI starts threads too, and does not survive being refused one.
                try SystemThread.probe(threadsOfMPI)
                try endUnlessMet(after: 600)
            }
            communicator = try start()
            hasMet.store(true, ordering: .relaxed)
        } catch {
            // What is refused to all ranks is reported once: the launcher ends the others with rank 0.
            if Launch.detect().environmentRank ?? 0 > 0 { Thread.sleep(forTimeInterval: 3) }
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
            end(after: 5, code: code)
            communicator.abort(code: code)
            exit(code)
        }
    }

    private static let statusAtAlarm = Atomic<Int32>(0)

    /// Ends the process after some seconds, by a signal: the system may refuse a thread.
    private static func end(after seconds: UInt32, code: Int32) {
        statusAtAlarm.store(code, ordering: .relaxed)
        signal(SIGALRM) { _ in _exit(Startup.statusAtAlarm.load(ordering: .relaxed)) }
        alarm(seconds)
    }

    /// Threads that Open MPI starts in a rank, and one of this file.
    private static let threadsOfMPI = 4

    private static let hasMet = Atomic<Bool>(false)

    /// Ends the process if the ranks have not met within `seconds`: MPI itself waits forever for a rank lost during
    /// start.
    private static func endUnlessMet(after seconds: Double) throws(ResourceShortage) {
        try SystemThread.start("kedge-start") {
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
            // Foundation starts processes with a thread, and waits for it without end where it is refused.
            try SystemThread.probe(2)
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
}
