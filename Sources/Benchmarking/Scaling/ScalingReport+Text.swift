import Foundation
import SegmentAnything

extension ScalingReport {
    /// The tables of the report.
    public var text: String {
        ([heading, ""] + table + [""] + notes + [""] + predictionTable).joined(separator: "\n")
    }

    private var heading: String {
        "\(plan.model.rawValue), \(plan.threads) thread\(plan.threads == 1 ? "" : "s") per rank, "
            + "\(plan.imagesPerRank) image\(plan.imagesPerRank == 1 ? "" : "s") per rank, \(plan.instances) instances per "
            + "image, \(plan.steps) steps after \(plan.warmUp), \(plan.rounds) round\(plan.rounds == 1 ? "" : "s")"
    }

    private var table: [String] {
        let titles = [
            "ranks", "nodes", "images", "img/s", "rate over", "efficiency", "bound", "of bound", "comm.", "peer wait",
            "MiB/rank", "MiB/node", "spread", "model",
        ]
        let cells = rows.map { row -> [String] in
            let point = row.point
            return [
                "\(point.work.ranks)", "\(point.nodes)", "\(point.work.globalBatch)",
                Self.number(point.imagesPerSecond), Self.fixed(row.rateRatio, 2), Self.percent(row.efficiency),
                Self.percent(row.bound), Self.percent(row.efficiencyOfBound), Self.percent(point.communication),
                point.peerWait.map(Self.percent) ?? "not logged", Self.mebibytes(point.peakBytesPerRank),
                point.bytesPerNode.map(Self.mebibytes) ?? "unknown", Self.percent(point.spread),
                modelOverMeasured(row).map { Self.fixed($0, 2) } ?? "none",
            ]
        }
        return Self.aligned(["mode"] + titles, zip(rows, cells).map { [$0.mode.rawValue] + $1 })
    }

    private var notes: [String] {
        let first = rows.first?.point.work.ranks ?? 1
        var lines = [
            "rate over: images per second over those of \(first) rank\(first == 1 ? "" : "s"); efficiency: that over "
                + "the ratio of ranks.",
            "comm.: share of a step spent communicating; peer wait: share spent waiting for slower ranks before "
                + "that, on rank 0.",
            "MiB/rank: largest resident set, counting shared pages in every rank. MiB/node: largest sum of "
                + "proportional set sizes of a node's ranks, sampled five times per second on this machine only.",
            "spread: slowest minus fastest run over the median. model: predicted over measured time of a step "
                + "one.",
        ]
        let crowded = rows.filter { $0.point.coreBound < 1 }.reduce(into: [Int]()) { ranks, row in
            if !ranks.contains(row.point.work.ranks) { ranks.append(row.point.work.ranks) }
        }
        if !crowded.isEmpty {
            lines.append(
                "RANKS SHARED CORES with \(crowded.map(String.init).joined(separator: ", ")) ranks: there were fewer "
                    + "cores than ranks x threads, so efficiency cannot exceed cores / (ranks x threads), the bound; "
                    + "\"of bound\" is efficiency over it.")
        }
        if let loadBefore, loadBefore >= 0.5 {
            lines.append(
                "THE MACHINE WAS BUSY before the first run, with a load average of \(Self.fixed(loadBefore, 1)): other "
                    + "programs took cores from the ranks, more so with more ranks.")
        }
        return lines
    }

    private var predictionTable: [String] {
        guard let model, !predictions.isEmpty else {
            return [
                "No prediction: no exchange between ranks was measured. Measure at least two ranks, or pass "
                    + "--network-latency-us and --network-gbit."
            ]
        }
        let head =
            "Predicted for \(model.parameters) trained parameters (\(Self.number(Double(4 * model.parameters) / 1e6)) MB):"
        let table = Self.aligned(
            ["nodes", "tree: efficiency", "comm.", "pairwise: efficiency", "comm."],
            predictions.map {
                ["\($0.nodes)"]
                    + [$0.efficiency, $0.communication, $0.pairwiseEfficiency, $0.pairwiseCommunication].map {
                        Self.fixed(100 * $0, 2) + " %"
                    }
            })
        return [head] + table + [""] + assumptions.map { "- " + $0 }
    }

    /// Right-aligned columns, as wide as their widest cell.
    private static func aligned(_ titles: [String], _ rows: [[String]]) -> [String] {
        let widths = titles.indices.map { column in
            ([titles] + rows).map { $0[column].count }.max() ?? 0
        }
        return ([titles] + rows).map { row in
            zip(row, widths).map { String(repeating: " ", count: $1 - $0.count) + $0 }.joined(separator: "  ")
        }
    }

    static func percent(_ share: Double) -> String {
        fixed(100 * share, share >= 0.0995 || share == 0 ? 0 : share >= 0.000_995 ? 1 : 3) + " %"
    }

    static func mebibytes(_ bytes: Int) -> String { "\((bytes + (1 << 19)) >> 20)" }

    /// A number with a fixed number of decimals.
    static func fixed(_ value: Double, _ digits: Int) -> String { String(format: "%.\(digits)f", value) }

    /// One JSON object with sorted keys.
    public func json() throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(self), as: UTF8.self)
    }

    /// The names of the files that `write(to:)` writes.
    public static let fileNames = ["scaling.txt", "scaling.svg", "scaling.json"]

    /// Writes `scaling.txt`, `scaling.svg` and `scaling.json` to a folder, created if necessary. Throws `ScalingError`.
    public func write(to folder: String) throws {
        do {
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            for (name, content) in zip(Self.fileNames, [text + "\n", ScalingPlot(self).svg, try json() + "\n"]) {
                try Data(content.utf8).write(to: URL(fileURLWithPath: folder + "/" + name), options: .atomic)
            }
        } catch {
            throw ScalingError(
                .cannotWrite, "\(folder) cannot be written: \(error.localizedDescription)",
                remedy: "specify another folder with --output, or fix its permissions")
        }
    }
}
