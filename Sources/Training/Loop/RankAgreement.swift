import Collectives

/// Makes sure that all ranks are about to do the same run.
enum RankAgreement {
    /// Compares named lines over ranks; each rank calls it with the same names.
    ///
    /// Throws `TrainingError` on all ranks that names the first odd rank and line, so that a recipe, environment variable
    /// or folder that differs on one node stops the run instead of mixing two runs.
    static func check(
        _ lines: [(name: String, value: String)], communicator: any Communicator
    ) throws {
        communicator.phase = "agreement"
        let mine = lines.map { "\($0.name) = \($0.value)" }.joined(separator: "\u{1}")
        let all = try communicator.allGather(bytes: Array(mine.utf8)).map { text in
            String(decoding: text, as: UTF8.self).split(separator: "\u{1}", omittingEmptySubsequences: false)
        }
        guard let odd = all.firstIndex(where: { $0 != all[0] }) else { return }
        let pairs = zip(all[0], all[odd]).first { $0 != $1 }
        let difference = pairs.map { "\($0.1), but rank 0 has \($0.0)" } ?? "a recipe of another length"
        throw TrainingError(
            .configuration, "rank \(odd) on \(communicator.hostNames[odd]) has \(difference)",
            remedy: "give all ranks the same recipe, settings (mpirun -x KEDGE_SET) and data")
    }
}
