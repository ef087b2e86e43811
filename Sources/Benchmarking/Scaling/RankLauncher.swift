import Foundation

/// The program that starts ranks: `mpirun`, or what stands in its place.
public struct RankLauncher: Sendable, Equatable {
    /// The program and its options before the number of ranks.
    public let words: [String]
    /// How long a run that was told to end may take before it is killed.
    package var patience = Duration.seconds(10)

    /// Takes `mpirun`, or the words of `command`.
    ///
    /// On this machine ranks share all cores, so that each is scheduled freely; with a hostfile they are dealt to nodes
    /// in turn, so that few ranks on many nodes are one to a node. A command of one's own decides all that itself.
    ///
    /// Throws `ScalingError` where both are given or the command is empty.
    public init(command: String?, hostfile: String?) throws(ScalingError) {
        guard let command else {
            let placement =
                hostfile.map { ["--hostfile", $0, "--map-by", "node"] } ?? ["--map-by", "slot:OVERSUBSCRIBE"]
            words = ["mpirun", "--bind-to", "none"] + placement
            return
        }
        guard hostfile == nil else {
            throw ScalingError(
                .usage, "--hostfile and --launcher are given", remedy: "put --hostfile into the launcher's words")
        }
        words = command.split(whereSeparator: \.isWhitespace).map(String.init)
        guard !words.isEmpty else {
            throw ScalingError(.usage, "--launcher is empty", remedy: "name a program, as in mpirun")
        }
    }

    /// The launcher's arguments for a command on so many ranks.
    package func arguments(ranks: Int, command: [String]) -> [String] {
        Array(words.dropFirst()) + ["-np", "\(ranks)", "--"] + command
    }

    /// Where the program is. Throws `ScalingError` of kind `launcher` if it is nowhere.
    package func executable(path: String? = ProcessInfo.processInfo.environment["PATH"]) throws(ScalingError) -> String
    {
        let name = words[0]
        let candidates =
            name.contains("/")
            ? [URL(fileURLWithPath: name).path] : (path ?? "").split(separator: ":").map { "\($0)/\(name)" }
        guard let found = candidates.first(where: { FileManager.default.isExecutableFile(atPath: $0) }) else {
            throw ScalingError(
                .launcher, "\(name) is no program that can be started here",
                remedy: "install Open MPI (scripts/setup), or name the program with --launcher")
        }
        return found
    }

    /// Runs a command on ranks and waits for its end; calls `whileRunning` about five times a second.
    ///
    /// - Parameters:
    ///   - what: What it is, for errors.
    ///   - folder: Where its output is kept until it ends.
    ///   - isStopRequested: True once the run is to be ended before its end.
    ///
    /// Returns its standard output. Throws `ScalingError` if it cannot start, fails or is stopped; no process is left.
    package func run(
        _ command: [String], ranks: Int, what: String, folder: String, whileRunning: () -> Void = {},
        isStopRequested: () -> Bool
    ) throws -> String {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: try executable())
        process.arguments = arguments(ranks: ranks, command: command)
        process.environment = Self.environment(ProcessInfo.processInfo.environment)
        process.standardInput = FileHandle.nullDevice
        // Files, because a pipe that nobody empties would stop the ranks.
        let (output, errors) = (folder + "/output", folder + "/errors")
        let handles = try [output, errors].map(Self.emptyFile)
        defer { for handle in handles { try? handle.close() } }
        (process.standardOutput, process.standardError) = (handles[0], handles[1])
        do {
            try process.run()
        } catch {
            throw ScalingError(
                .launcher, "\(words[0]) cannot be started: \(error.localizedDescription)",
                remedy: "name another program with --launcher")
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
            // mpirun ends its ranks when it is told to end; what does not react in time is killed.
            process.terminate()
            let deadline = ContinuousClock.now + patience
            while process.isRunning {
                Thread.sleep(forTimeInterval: 0.02)
                if ContinuousClock.now > deadline { kill(process.processIdentifier, SIGKILL) }
            }
            throw ScalingError(
                .stopped, "\(what) was stopped on request", remedy: "start again; what was measured is lost")
        }
    }

    /// The environment of the launcher: settings of a recipe would make runs other than planned, and ranks that wait
    /// must give way where they may share cores.
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
            throw ScalingError(.cannotWrite, "\(path) cannot be written", remedy: "name another folder with --scratch")
        }
        return handle
    }
}
