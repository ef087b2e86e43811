import Foundation
import Machine

/// The program that starts ranks: `mpirun` or a replacement.
public struct RankLauncher: Sendable, Equatable {
    /// The program and its options, excluding the number of ranks.
    public let words: [String]
    /// How long a terminated run may take to end before it is killed.
    package var patience = Duration.seconds(10)

    /// Uses `mpirun`, or the words of `command`.
    ///
    /// On this machine ranks share all cores and are scheduled freely; with a hostfile they are placed round-robin, so
    /// that few ranks on many nodes get a node each. A custom command determines all of this itself.
    ///
    /// Throws `ScalingError` if both are given or the command is empty.
    public init(command: String?, hostfile: String?) throws(ScalingError) {
        guard let command else {
            let placement =
                hostfile.map { ["--hostfile", $0, "--map-by", "node"] } ?? ["--map-by", "slot:OVERSUBSCRIBE"]
            words = ["mpirun", "--bind-to", "none"] + placement
            return
        }
        guard hostfile == nil else {
            throw ScalingError(
                .usage, "--hostfile and --launcher exclude each other", remedy: "pass the hostfile in --launcher")
        }
        words = command.split(whereSeparator: \.isWhitespace).map(String.init)
        guard !words.isEmpty else {
            throw ScalingError(.usage, "--launcher is empty", remedy: "specify a program, such as mpirun")
        }
    }

    /// The launcher's arguments for a command on a number of ranks.
    package func arguments(ranks: Int, command: [String]) -> [String] {
        Array(words.dropFirst()) + ["-np", "\(ranks)", "--"] + command
    }

    /// The path of the program. Throws `ScalingError` of kind `launcher` if it is not found.
    package func executable(path: String? = ProcessInfo.processInfo.environment["PATH"]) throws(ScalingError) -> String
    {
        let name = words[0]
        let candidates =
            name.contains("/")
            ? [URL(fileURLWithPath: name).path] : (path ?? "").split(separator: ":").map { "\($0)/\(name)" }
        guard let found = candidates.first(where: { FileManager.default.isExecutableFile(atPath: $0) }) else {
            throw ScalingError(
                .launcher, "\(name) is not an executable program",
                remedy: "install Open MPI (scripts/setup), or specify the program with --launcher")
        }
        return found
    }

    /// Runs a command on ranks until it ends; calls `whileRunning` about five times per second.
    ///
    /// - Parameters:
    ///   - what: The name of the run, for errors.
    ///   - folder: The folder for its output while it runs.
    ///   - isStopRequested: True once the run is to be stopped.
    ///
    /// Returns its standard output. Throws `ScalingError` if it cannot start, fails or is stopped; no process remains.
    package func run(
        _ command: [String], ranks: Int, what: String, folder: String, whileRunning: () -> Void = {},
        isStopRequested: () -> Bool
    ) throws -> String {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: try executable())
        process.arguments = arguments(ranks: ranks, command: command)
        process.environment = Self.environment(ProcessInfo.processInfo.environment)
        process.standardInput = FileHandle.nullDevice
        // Files, because an unread pipe would block the ranks.
        let (output, errors) = (folder + "/output", folder + "/errors")
        let handles = try [output, errors].map(Self.emptyFile)
        defer { for handle in handles { try? handle.close() } }
        (process.standardOutput, process.standardError) = (handles[0], handles[1])
        do {
            try process.run()
        } catch {
            // A process is refused for the same reasons as a thread, which can be named.
            try SystemThread.probe(1)
            throw ScalingError(
                .launcher, "\(words[0]) cannot be started: \(error.localizedDescription)",
                remedy: "specify another program with --launcher")
        }
        try wait(for: process, what: what, whileRunning, isStopRequested)
        let status = process.terminationStatus + (process.terminationReason == .uncaughtSignal ? 128 : 0)
        func text(_ path: String) -> String {
            String(decoding: FileManager.default.contents(atPath: path) ?? Data(), as: UTF8.self)
        }
        guard status == 0 else { throw ScalingError.ofRun(what, status: status, output: text(errors)) }
        return text(output)
    }

    private func wait(
        for process: Process, what: String, _ whileRunning: () -> Void, _ isStopRequested: () -> Bool
    ) throws(ScalingError) {
        var turns = 0
        while process.isRunning {
            Thread.sleep(forTimeInterval: 0.02)
            turns += 1
            if turns.isMultiple(of: 10) { whileRunning() }
            guard isStopRequested() else { continue }
            // mpirun ends its ranks when terminated; processes that do not react in time are killed.
            process.terminate()
            let deadline = ContinuousClock.now + patience
            while process.isRunning {
                Thread.sleep(forTimeInterval: 0.02)
                if ContinuousClock.now > deadline { kill(process.processIdentifier, SIGKILL) }
            }
            throw ScalingError(
                .stopped, "\(what) was stopped on request", remedy: "start again; results so far are lost")
        }
    }

    /// The environment of the launcher: recipe settings in it would change the planned runs, and waiting ranks must
    /// yield because they may share cores.
    package static func environment(_ own: [String: String]) -> [String: String] {
        var environment = own
        environment["KEDGE_SET"] = nil
        environment["OMPI_MCA_mpi_yield_when_idle"] = own["OMPI_MCA_mpi_yield_when_idle"] ?? "1"
        return environment
    }

    private static func emptyFile(_ path: String) throws -> FileHandle {
        guard FileManager.default.createFile(atPath: path, contents: nil),
            let handle = FileHandle(forWritingAtPath: path)
        else {
            throw ScalingError(.cannotWrite, "\(path) cannot be written", remedy: "use another folder with --scratch")
        }
        return handle
    }
}
