import Adapters
import Evaluation
import Foundation
import PlainText
import Routing
import SegmentAnything
import WeightFiles

/// What `kedge pool show` says of a pool.
struct PoolDescription {
    /// The text, a line each.
    let lines: [String]
    /// What is wrong with its files.
    let damages: [WeightFileError]

    /// Describes a pool whose files may be missing or damaged.
    init(_ pool: AdapterPool) {
        let damages = pool.files.compactMap { file in pool.damage(of: file).map { (file, $0) } }
        func isWhole(_ file: AdapterPool.File) -> Bool { !damages.contains { $0.0 == file } }
        func described(_ file: AdapterPool.File) -> String {
            let attributes = try? FileManager.default.attributesOfItem(atPath: pool.path(of: file))
            let size = (attributes?[.size] as? Int).map { "\($0) bytes" } ?? "missing"
            return "\(file.name), \(size), sha256 \(file.sha256)" + (isWhole(file) ? "" : ", DAMAGED")
        }
        var lines = [
            "pool        \(pool.path)", "digest      \(pool.digest)", "model       \(pool.model)",
            "weights     \(pool.baseDigest)", "view        evaluation.view=\(pool.view)",
            "query       continual.query=\(pool.routing.query), seed \(pool.routing.seed)",
            "router      \(pool.router.map(described) ?? "none")",
        ]
        let router = pool.router.flatMap { isWhole($0) ? try? DomainRouterFile(opening: pool.path(of: $0)) : nil }
        lines.append("rejection   \(Self.rule(pool, router))")
        for (place, entry) in pool.entries.enumerated() {
            lines += ["", "domain \(place + 1)    \(entry.domain): \(entry.steps) steps on \(entry.images) images"]
            lines.append("adapter     \(described(entry.file))")
            if isWhole(entry.file), let file = try? AdapterFile(opening: pool.path(of: entry.file)) {
                lines.append(
                    "            \(file.title), preprocessing \(file.description.preprocessing), recipe "
                        + file.description.recipeDigest.prefix(12))
            }
            lines.append("memory      \(described(entry.memory))")
            lines.append(
                "            \(entry.memoryImages.count) images: \(entry.memoryImages.joined(separator: ", "))")
        }
        let others = Self.others(in: pool)
        if !others.isEmpty { lines += ["", "not named by the manifest: \(others.joined(separator: ", "))"] }
        self.lines = lines.map(\.onOneLine)
        self.damages = damages.map(\.1)
    }

    /// When the router rejects an image.
    private static func rule(_ pool: AdapterPool, _ router: DomainRouterFile?) -> String {
        guard pool.routing.rejectBeyond > 0 else { return "none: continual.rejectBeyond=0" }
        let asked = "continual.rejectBeyond=\(pool.routing.rejectBeyond)"
        guard let router else { return asked }
        return router.rejectionThreshold.map { "distance above \(String(format: "%.1f", $0)): \(asked)" }
            ?? "none, because the memory images are too few: \(asked)"
    }

    /// Files in the folder that do not belong to the pool, such as leftovers of a killed command.
    private static func others(in pool: AdapterPool) -> [String] {
        let known = pool.files.map(\.name) + [AdapterPool.manifestName]
        return ((try? FileManager.default.contentsOfDirectory(atPath: pool.path)) ?? []).filter { !known.contains($0) }
            .sorted()
    }
}
