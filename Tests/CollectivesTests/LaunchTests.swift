import Collectives
import Foundation
import Testing

@Suite struct LaunchTests {
    @Test func withoutALauncherTheProcessIsAlone() throws {
        let launch = Launch.detect(["PATH": "/usr/bin"])
        #expect(launch.launcher == .none)
        #expect(launch.expectedRanks == nil)
        #expect(try launch.start().worldSize == 1)
    }

    @Test(arguments: [
        (["OMPI_COMM_WORLD_SIZE": "4"], Launch.Launcher.openMPI, 4),
        (["PMIX_RANK": "0", "SLURM_STEP_NUM_TASKS": "8"], .pmix, 8),
        (["PMI_RANK": "1", "PMI_SIZE": "2"], .pmi, 2),
        (["SLURM_STEP_NUM_TASKS": "3"], .none, 3),
    ])
    func launchersAreRecognised(
        environment: [String: String], launcher: Launch.Launcher, ranks: Int
    ) throws {
        let launch = Launch.detect(environment)
        #expect(launch.launcher == launcher)
        #expect(launch.expectedRanks == ranks)
        try launch.verify(worldSize: ranks)
        let error = try #require(throws: CollectivesError.self) { try launch.verify(worldSize: 1) }
        #expect(error.kind == .wrongLauncher)
        #expect(error.description.contains("=\(ranks)"))
    }

    @Test func slurmTasksWithoutALauncherAreRefused() {
        #expect(throws: CollectivesError.self) { try Launch.detect(["SLURM_STEP_NUM_TASKS": "4"]).start() }
    }

    @Test func oneRankInALargerAllocationIsALegitimateRun() throws {
        try Launch.detect(["OMPI_COMM_WORLD_SIZE": "1", "SLURM_STEP_NUM_TASKS": "8"]).verify(worldSize: 1)
    }

    /// A command that reports a wrong launch gets the lone rank, and knows which of them is to report.
    @Test func aReportMayStartAlone() throws {
        let launch = Launch.detect(["SLURM_STEP_NUM_TASKS": "4", "SLURM_PROCID": "2"])
        #expect(try launch.start(verifying: false).worldSize == 1)
        #expect(launch.environmentRank == 2)
        #expect(Launch.detect(["PATH": "/usr/bin"]).environmentRank == nil)
    }
}

@Suite struct TransportFilesTests {
    @Test func onlyOpenMPIsOwnFilesAreFound() {
        let maps = """
            7f00-7f10 rw-s 00000000 00:19 12 /dev/shm/vader_segment.node.0.1.0
            7f10-7f20 rw-s 00001000 00:19 12 /dev/shm/vader_segment.node.0.1.0
            7f20-7f30 rw-s 00000000 00:19 13 /dev/shm/vader_segment.node.0.1.1 (deleted)
            7f30-7f40 rw-s 00000000 00:19 14 /dev/shm/sm_segment.node.0.1.2
            7f40-7f50 rw-s 00000000 00:19 15 /dev/shm/other/vader_segment.x
            7f50-7f60 r--p 00000000 08:01 16 /usr/lib/libmpi.so
            7f60-7f70 rw-p 00000000 00:00 0
            """
        #expect(
            TransportFiles.paths(maps: maps) == [
                "/dev/shm/vader_segment.node.0.1.0", "/dev/shm/vader_segment.node.0.1.1",
                "/dev/shm/sm_segment.node.0.1.2",
            ])
    }

    @Test func aRankPutsItsOwnFileBack() throws {
        let place = FileManager.default.temporaryDirectory.path + "/kedge-transport-\(UUID())."
        TransportFiles.restore([place + "1", place + "11", place + "2"], rank: 1)
        #expect([place + "1", place + "11", place + "2"].map(FileManager.default.fileExists) == [true, false, false])
        try FileManager.default.removeItem(atPath: place + "1")
    }
}
