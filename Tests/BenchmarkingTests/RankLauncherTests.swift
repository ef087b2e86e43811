import Benchmarking
import Collectives
import Foundation
import Telemetry
import Testing

/// Starting ranks and watching them, with programs that stand in for mpirun.
@Suite struct RankLauncherTests {
    private func inFolder<Result>(_ body: (String) throws -> Result) throws -> Result {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("kedge-launch-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        return try body(folder.path)
    }

    /// A launcher that runs a shell script in the place of the ranks.
    private func script(_ text: String, in folder: String) throws -> RankLauncher {
        let path = folder + "/launch"
        try Data(("#!/bin/sh\n" + text + "\n").utf8).write(to: URL(fileURLWithPath: path))
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: path)
        return try RankLauncher(command: path + " --extra", hostfile: nil)
    }

    @Test func wordsOfTheLauncher() throws {
        #expect(
            try RankLauncher(command: nil, hostfile: nil).arguments(ranks: 2, command: ["kedge", "x"])
                == ["--bind-to", "none", "--map-by", "slot:OVERSUBSCRIBE", "-np", "2", "--", "kedge", "x"])
        #expect(try RankLauncher(command: nil, hostfile: "nodes").words.contains("nodes"))
        #expect(
            try RankLauncher(command: "a/run  --map-by node", hostfile: nil).words == ["a/run", "--map-by", "node"])
        #expect(throws: ScalingError.self) { try RankLauncher(command: " ", hostfile: nil) }
        #expect(throws: ScalingError.self) { try RankLauncher(command: "mpirun", hostfile: "nodes") }
    }

    @Test func aMissingProgramIsToldByName() throws {
        let error = #expect(throws: ScalingError.self) {
            try RankLauncher(command: nil, hostfile: nil).executable(path: "/nonexistent:/proc")
        }
        #expect(error?.kind == .launcher && error?.exitCode == .usage)
        #expect(error?.description.contains("mpirun") == true)
    }

    @Test func outputComesBack() throws {
        try inFolder { folder in
            let launcher = try script("echo \"$@\"; echo noise >&2", in: folder)
            let output = try launcher.run(
                ["kedge", "adapt"], ranks: 3, what: "a run", folder: folder, isStopRequested: { false })
            #expect(output == "--extra -np 3 -- kedge adapt\n")
        }
    }

    @Test func failuresPassOnWhatKedgeSaid() throws {
        try inFolder { folder in
            func failure(_ text: String) throws -> ScalingError {
                let launcher = try script(text, in: folder)
                return try #require(
                    throws: ScalingError.self,
                    performing: {
                        try launcher.run([], ranks: 2, what: "a run", folder: folder, isStopRequested: { false })
                    })
            }
            let told = try failure("echo 'kedge: error: [rank 0 a] no file x; fetch it' >&2; echo more >&2; exit 66")
            #expect(told.description == "a run failed: [rank 0 a] no file x; fetch it")
            #expect(told.exitCode == .noInput)
            let killed = try failure("kill -KILL $$")
            #expect(killed.description.contains("signal 9") && killed.exitCode == .internalFault)
            let refused = try failure("echo -----; echo ' There are not enough slots' >&2; exit 1")
            #expect(refused.description.contains("There are not enough slots") && refused.exitCode == .usage)
            #expect(try failure("exit 213").kind == .launcher)
        }
    }

    @Test(.timeLimit(.minutes(1))) func aRequestEndsTheRun() throws {
        try inFolder { folder in
            // Test threads may hold signals back, so that only killing helps.
            var launcher = try script("echo $$ >\(folder)/pid; exec sleep 100", in: folder)
            launcher.patience = .milliseconds(200)
            let asked = ContinuousClock.now + .milliseconds(300)
            let error = #expect(throws: ScalingError.self) {
                try launcher.run(
                    [], ranks: 1, what: "a run", folder: folder, isStopRequested: { ContinuousClock.now > asked })
            }
            #expect(error?.exitCode == .resumable)
            let pid = try String(contentsOfFile: folder + "/pid", encoding: .utf8).filter(\.isNumber)
            #expect(kill(try #require(Int32(pid)), 0) != 0)
        }
    }

    @Test func settingsOfRecipesDoNotReachTheRanks() {
        let environment = RankLauncher.environment(["KEDGE_SET": "lora.rank=8", "HOME": "/h"])
        #expect(environment == ["HOME": "/h", "OMPI_MCA_mpi_yield_when_idle": "1"])
    }

    /// The launcher has the ranks' words too; shares of pages are summed by node.
    @Test func memoryIsSummedByNode() throws {
        try inFolder { folder in
            for (id, words, node, kibibytes) in [
                ("1", "/bin/kedge adapt run.folder=x", "uts:[1]", 100),
                ("2", "/bin/kedge adapt run.folder=x", "uts:[1]", 50),
                ("3", "/bin/kedge adapt run.folder=x", "uts:[2]", 120),
                ("4", "mpirun -np 2 -- kedge adapt run.folder=x", "uts:[1]", 900),
                ("5", "/bin/kedge adapt run.folder=y", "uts:[1]", 900),
                ("self", "/bin/kedge adapt run.folder=x", "uts:[1]", 900),
            ] {
                let process = folder + "/" + id
                try FileManager.default.createDirectory(atPath: process + "/ns", withIntermediateDirectories: true)
                try Data(words.replacing(" ", with: "\0").utf8).write(to: URL(fileURLWithPath: process + "/cmdline"))
                try Data("x [rollup]\nRss: 9999 kB\nPss:      \(kibibytes) kB\n".utf8)
                    .write(to: URL(fileURLWithPath: process + "/smaps_rollup"))
                try FileManager.default.createSymbolicLink(atPath: process + "/ns/uts", withDestinationPath: node)
            }
            var residence = NodeResidence(mark: "run.folder=x", proc: folder)
            #expect(residence.largest == nil)
            residence.sample()
            #expect(residence.largest == 150 << 10)
        }
    }

    @Test func machinesAreToldApart() {
        let machines = ExchangeReport.machines(["a\n0-3", "b\n0,2", "a\n0-3", "a\n2-5", "b\n"])
        #expect(
            machines == [
                .init(ranks: 3, cores: 6, coresOfOneRank: 4), .init(ranks: 2, cores: 2, coresOfOneRank: 1),
            ])
        #expect(machines.map { $0.bound(threads: 1) } == [1, 1])
        #expect(machines.map { $0.bound(threads: 4) } == [0.5, 0.25])
    }

    @Test(.timeLimit(.minutes(1))) func anExchangeIsMeasuredOnEveryRank() throws {
        let sizes = [10, 5000].map { StepExchange(parameters: $0, imagesPerRank: 2) }
        let reports = try InProcessCommunicator.run(ranks: 3) {
            try ExchangeReport.measure(sizes, repetitions: 3, communicator: $0)
        }
        #expect(reports[0].samples.map(\.exchange) == sizes)
        #expect(reports[0].samples.allSatisfy { $0.ranks == 3 && $0.seconds > 0 })
        #expect(reports[0].machines.map(\.ranks) == [3])
    }

    /// The formula against what the communicator counts; each measured exchange is preceded by the header of a barrier.
    @Test(.timeLimit(.minutes(1)), arguments: [2, 4], [1, 2, 3, 5, 8])
    func bytesAreCountedAsTheyAreSent(ranks: Int, images: Int) throws {
        let exchange = StepExchange(parameters: 4000, imagesPerRank: images, lossParts: 5)
        let sent = try InProcessCommunicator.run(ranks: ranks) { communicator in
            func bytes(_ repetitions: Int) throws -> Int {
                let before = communicator.bytesSent
                _ = try ExchangeReport.measure([exchange], repetitions: repetitions, communicator: communicator)
                return communicator.bytesSent - before
            }
            let few = try bytes(1)
            return try bytes(5) - few
        }
        #expect(sent.allSatisfy { Double($0) == 4 * (exchange.bytes(ranks: ranks) + Double(64 * (ranks - 1))) })
    }
}
