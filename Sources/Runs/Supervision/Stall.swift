import Collectives

/// A stalled run: which ranks wait, which are missing, and for how long.
struct Stall {
    /// The longest time any rank has waited for the others; 0 if none waits.
    private(set) var longestWait = 0.0
    /// The longest time without a sign that the run can continue.
    private(set) var longestSilence = 0.0
    /// The stall in one sentence.
    let description: String
    /// The remedy.
    let remedy: String

    init(_ watch: StallWatch) {
        var waiting: [Int] = []
        var silent: [Int] = []
        var working: [Int] = []
        for rank in watch.hosts.indices {
            guard watch.isFresh(rank), let heartbeat = watch.sightings[rank]?.heartbeat else {
                silent.append(rank)
                let seen = watch.sightings[rank]?.movedAt ?? 0
                longestSilence = max(longestSilence, watch.quiet - seen)
                continue
            }
            if heartbeat.isWaiting {
                waiting.append(rank)
                longestWait = max(longestWait, heartbeat.quiet)
            } else {
                working.append(rank)
                longestSilence = max(longestSilence, heartbeat.idle)
            }
        }
        if watch.isBlind {
            // No other rank can be asked: only this rank's own state is known.
            silent = []
            longestWait = watch.activity.isWaiting ? watch.quiet : 0
            longestSilence = watch.activity.isWaiting ? watch.quiet : watch.idle
        } else if silent.isEmpty, working.isEmpty {
            longestSilence = longestWait
        }
        description = Self.describe(watch, waiting: waiting, silent: silent, working: working)
        remedy = Self.remedy(watch, silent: silent, working: working)
    }

    private static func describe(_ watch: StallWatch, waiting: [Int], silent: [Int], working: [Int]) -> String {
        let phase = "phase \"\(watch.activity.phase)\""
        guard !watch.isBlind else {
            let doing =
                watch.activity.isWaiting
                ? "waits in \(watch.activity.operationName) (operation \(watch.activity.sequence))"
                : watch.activity.work
            return
                "no progress for \(StallWatch.rounded(watch.quiet)) s: \(doing), \(phase); the state of other ranks is unknown, "
                + "because the run's folder cannot be written"
        }
        var parts: [String] = []
        if !silent.isEmpty {
            parts.append("no sign of life from \(names(silent, watch)): stopped, killed, or the node is gone")
        }
        for rank in working.prefix(4) {
            guard let heartbeat = watch.sightings[rank]?.heartbeat else { continue }
            let idle = heartbeat.idle
            parts.append(
                "\(names([rank], watch)) is \(heartbeat.doing), "
                    + (idle < watch.limits.warnAfter / 2
                        ? "and advances" : "without progress for \(StallWatch.rounded(idle)) s"))
        }
        if working.count > 4 { parts.append("\(working.count - 4) more ranks are working") }
        if let first = waiting.first, let heartbeat = watch.sightings[first]?.heartbeat {
            let places = Set(waiting.compactMap { watch.sightings[$0]?.heartbeat.sequence }).count
            parts.append(
                (waiting.count == watch.hosts.count
                    ? "all ranks wait" : "\(names(waiting, watch)) \(waiting.count == 1 ? "waits" : "wait")")
                    + " in \(heartbeat.doing) (operation \(heartbeat.sequence)"
                    + (places > 1 ? " and others" : "") + ")"
                    + (waiting.count == watch.hosts.count ? ": the network does not deliver messages" : ""))
        }
        return "no progress for \(StallWatch.rounded(watch.quiet)) s, \(phase): \(parts.joined(separator: "; "))"
    }

    private static func remedy(_ watch: StallWatch, silent: [Int], working: [Int]) -> String {
        let resume = watch.again
        guard let rank = (silent + working).first else { return "check the network between the hosts; \(resume)" }
        let process = watch.sightings[rank].map { "process \($0.heartbeat.process)" } ?? "its kedge process"
        return
            "inspect \(process) on \(watch.hosts[rank]) (kill -CONT if it was stopped; gdb -p, thread apply all bt), \(resume)"
    }

    /// `rank 3 (node1)`, or `ranks 1-3, 7`.
    private static func names(_ ranks: [Int], _ watch: StallWatch) -> String {
        if ranks.count == 1 { return "rank \(ranks[0]) (\(watch.hosts[ranks[0]]))" }
        return "ranks " + RankNames.spans(ranks, most: 12)
    }
}
