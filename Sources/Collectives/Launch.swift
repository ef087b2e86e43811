import Foundation

/// The way this process was started, read from the environment that launchers set.
///
/// - Open MPI's `mpirun` sets `OMPI_COMM_WORLD_SIZE`, a PMIx launcher (`srun --mpi=pmix`) `PMIX_RANK`, older ones `PMI_SIZE`.
/// - Without any of them the process is alone and MPI is not initialised.
/// - `SLURM_STEP_NUM_TASKS` above 1 without several ranks means that `srun` started tasks that do not see each other.
public struct Launch: Sendable, Equatable {
    /// The program that started this process.
    public enum Launcher: String, Sendable {
        /// Started by hand, or by a scheduler without MPI.
        case none
        /// Open MPI's `mpirun`.
        case openMPI
        /// A PMIx launcher such as `srun --mpi=pmix`.
        case pmix
        /// A PMI-1 or PMI-2 launcher, which Open MPI may or may not understand.
        case pmi
    }

    /// The program that started this process.
    public let launcher: Launcher
    /// The number of ranks according to the environment, if it states one.
    public let expectedRanks: Int?
    /// The source of that number, for example `SLURM_STEP_NUM_TASKS=4`.
    public let evidence: String
    /// This process's number according to the environment, if it states one; the ranks' own numbers come from MPI.
    public let environmentRank: Int?

    /// Reads the launcher from environment variables.
    ///
    /// `mpirun`'s own count takes precedence over Slurm's, so one rank inside a larger allocation is a legitimate run.
    /// Of Slurm only a step of `srun` counts: `SLURM_NTASKS` is set in every batch script, where a lone process is
    /// legitimate too.
    public static func detect(_ environment: [String: String]) -> Launch {
        func number(_ name: String) -> Int? { environment[name].flatMap { Int($0) } }
        let launcher: Launcher =
            environment["OMPI_COMM_WORLD_SIZE"] != nil
            ? .openMPI
            : environment["PMIX_RANK"] != nil
                ? .pmix
                : environment["PMI_RANK"] != nil || environment["PMI_SIZE"] != nil ? .pmi : .none
        let source = ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS"].first { number($0) != nil }
        let count = source.flatMap(number)
        return Launch(
            launcher: launcher, expectedRanks: count,
            evidence: source.map { "\($0)=\(count ?? 0)" } ?? "no launcher variable is set",
            environmentRank: ["OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK", "SLURM_PROCID"].lazy
                .compactMap(number).first)
    }

    /// Reads the launcher from this process's environment.
    public static func detect() -> Launch { detect(ProcessInfo.processInfo.environment) }

    /// Creates the communicator of this process: MPI under a launcher, otherwise a lone process without MPI.
    ///
    /// Call it on the main thread. Throws `CollectivesError`, of kind `wrongLauncher` if the environment promises ranks
    /// that MPI does not see; the program then exits with code 64.
    ///
    /// - Parameter verifying: False to accept a lone rank where several were promised, for a command that reports it.
    public func start(verifying: Bool = true) throws -> any Communicator {
        guard launcher != .none else {
            if verifying { try verify(worldSize: 1) }
            return try SingleProcessCommunicator()
        }
        let communicator = try MPICommunicator.initialise()
        do {
            if verifying { try verify(worldSize: communicator.worldSize) }
        } catch {
            try communicator.finalize()
            throw error
        }
        return communicator
    }

    /// Throws if this process sees itself alone although the environment states several ranks.
    ///
    /// Without this check each of them would train separately and overwrite the others' results.
    public func verify(worldSize: Int) throws {
        guard worldSize == 1, let expectedRanks, expectedRanks > 1 else { return }
        throw CollectivesError(
            .wrongLauncher, operation: "start", rank: 0, host: localHostName(),
            reason: "wrong launcher: \(evidence), but this process sees a world of 1 rank",
            remedy: "start with the mpirun of the Open MPI that Kedge was built with, or srun --mpi=pmix")
    }
}
