import Collectives
import Datasets
import Telemetry
import WeightFiles

/// Ensures that all ranks are about to execute the same run.
enum RankAgreement {
    /// Compares named lines across ranks; collective.
    ///
    /// Digests are compared first; only if they differ are lines sent, and only those of rank 0, so a long list costs
    /// no more on many ranks.
    ///
    /// Throws `RunError` on all ranks that names the first deviating rank and line, so that a different recipe,
    /// environment variable or folder on one node stops the run instead of mixing two runs.
    static func check(
        _ lines: [(name: String, value: String)], communicator: any Communicator
    ) throws {
        communicator.phase = "agreement"
        let mine = lines.map { "\($0.name) = \($0.value)" }
        let text = Array(mine.joined(separator: "\u{1}").utf8)
        let digest = SHA256Digest()
        digest.update(text)
        let digests = try communicator.allGather(bytes: Array(digest.hexadecimal().utf8))
        guard digests.contains(where: { $0 != digests[0] }) else { return }
        let first = String(decoding: try communicator.broadcast(bytes: text, from: 0), as: UTF8.self)
            .split(separator: "\u{1}", omittingEmptySubsequences: false)
        let pair = zip(mine, first).first { $0 != $1 }
        let difference =
            pair.map { "\($0.0), but rank 0 has \($0.1)" } ?? "\(mine.count) lines, but rank 0 has \(first.count)"
        let isOdd = digests[communicator.rank] != digests[0]
        let told = try communicator.allGather(bytes: isOdd ? Array(difference.utf8) : [])
        guard let odd = told.firstIndex(where: { !$0.isEmpty }) else { return }
        throw RunError(
            .configuration,
            "rank \(odd) on \(communicator.hostNames[odd]) has \(String(decoding: told[odd], as: UTF8.self))",
            remedy: "give all ranks the same program, recipe, settings (mpirun -x KEDGE_SET) and data")
    }

    /// Stops all ranks if one has different images than rank 0. Collective; throws `RunError`.
    static func checkImages(
        _ dataset: any SegmentationDataset, _ indices: [Int], _ name: String, _ communicator: any Communicator
    ) throws {
        let lines = indices.map { (name: "\(name) \($0 + 1)", value: dataset.fingerprint($0)) }
        try check(lines + [(name: "\(name)s", value: "\(indices.count)")], communicator: communicator)
    }
}
