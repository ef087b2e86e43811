import Datasets
import Foundation

// The findings as text for users.
extension DatasetFindings {
    /// The findings, aligned, then errors and warnings by kind.
    ///
    /// - Parameter most: Maximum listed problems of each kind, nil for all that are kept.
    public func report(most: Int? = 20) -> String {
        var lines = summary.map { name, text in name.padding(toLength: 14, withPad: " ", startingAt: 0) + text }
        for (title, isError) in [("errors", true), ("warnings", false)] {
            let kinds = Kind.allCases.filter { $0.isError == isError && count($0) > 0 }
            if kinds.isEmpty { continue }
            lines.append("")
            lines.append("\(title): \(isError ? errors : warnings)")
            for kind in kinds {
                lines.append("  \(kind.rawValue): \(count(kind))")
                let problems = problems(kind)
                let shown = min(most ?? problems.count, problems.count)
                lines += problems[..<shown].map { "    " + $0 }
                if shown < problems.count { lines.append("    and \(problems.count - shown) more") }
            }
        }
        lines.append("")
        lines.append(verdict)
        return lines.joined(separator: "\n")
    }

    private var verdict: String {
        let noted = warnings == 0 ? "" : ", \(Self.number(warnings, "warning"))"
        if isUsable { return "usable: no errors\(noted)" }
        return "not usable: \(Self.number(errors, "error"))\(noted)"
    }

    private var summary: [(String, String)] {
        var rows = [("data set", "\(root), format \(format)")]
        let left = imagesLeftOut > 0 ? "; \(imagesLeftOut) more not checked" : ""
        if let imagesOfSamples {
            let without = count(.imageWithoutMask)
            rows.append(("images", "\(imagesOfSamples)" + (without > 0 ? ", \(without) without a mask" : "")))
            rows.append(
                (
                    "samples",
                    "\(images), \(usableImages) usable\(left)"
                        + (count(.speck) > 0 ? "; \(Self.number(count(.speck), "small mask")) left out" : "")
                ))
        } else {
            rows.append(("images", "\(images), \(usableImages) usable\(left)"))
        }
        if let sizes = sizesText { rows.append(("sizes", sizes)) }
        if let depth = depthText { rows.append(("depth", depth)) }
        guard hasReadLabels else {
            rows.append(("labels", "not read because the data set cannot be opened"))
            return rows
        }
        var kinds: [String] = []
        for (name, count) in [("masks", imagesWith.masks), ("boxes", imagesWith.boxes), ("points", imagesWith.points)]
        where count > 0 { kinds.append("\(name) for \(Self.number(count, "image"))") }
        rows.append(("labels", kinds.isEmpty ? "none" : kinds.joined(separator: ", ")))
        if usableImages > 0 { rows.append(("prompts", promptsText)) }
        if let (least, median, most) = Self.spread(instances) {
            let without = instances.count { $0 == 0 }
            rows.append(
                (
                    "instances",
                    "\(instances.reduce(0) { $0 + Int($1) }); per image \(least) to \(most), median \(median); "
                        + "\(Self.number(without, "image")) without"
                ))
        }
        if let (least, median, most) = Self.spread(areas) {
            var text = "\(Self.percent(least)) to \(Self.percent(most)) of the image, median \(Self.percent(median))"
            if pixels.labelled > 0 {
                text += "; all masks \(Self.percent(Float(Double(pixels.labelled) / Double(pixels.all)))) of all pixels"
            }
            rows.append(("instance area", text))
        }
        return rows
    }

    /// The kinds of prompt that the labels give, and how to get the others.
    private var promptsText: String {
        guard prompts != .automatic else { return "of masks that the model finds (prompts.source=automatic)" }
        guard !labelKinds.isEmpty else { return "none; prompts.source=automatic lets the model find masks" }
        guard prompts != .pseudo else { return "of masks made of the labels (prompts.source=pseudo)" }
        let given = labelKinds.map { $0.prompts(from: .simulated) }
        let texts = PromptKind.allCases.compactMap { kind -> String? in
            let count = given.count { $0.contains(kind) }
            guard count > 0 else { return nil }
            return kind.rawValue + (count < given.count ? " (\(count) of \(given.count) images)" : "")
        }
        let isPartial = given.contains { $0.count < PromptKind.allCases.count }
        return texts.joined(separator: ", ")
            + (isPartial ? "; prompts.source=pseudo makes masks of the labels, which give every kind" : "")
    }

    /// The depths of all images that could be decoded, with the values of those that are not used as they are.
    private var depthText: String? {
        let plain = sizes.count - depths.reduce(0) { $0 + $1.images }
        let texts = (plain > 0 ? ["8 bit"] : []) + depths.map(\.text)
        guard texts.count > 1 else { return texts.first }
        let counts = (plain > 0 ? [plain] : []) + depths.map(\.images)
        return zip(counts, texts).map { "\(Self.number($0, "image")) of \($1)" }.joined(separator: "; ")
    }

    /// The smallest, median and largest size by the number of pixels.
    private var sizesText: String? {
        let sorted = sizes.sorted { ($0.x * $0.y, $0.x) < ($1.x * $1.y, $1.x) }
        guard let first = sorted.first, let last = sorted.last else { return nil }
        func text(_ size: SIMD2<Int32>) -> String { "\(size.x)x\(size.y)" }
        let different = Set(sizes).count
        if different == 1 { return "all \(text(first))" }
        return "\(text(first)) to \(text(last)), median \(text(sorted[sorted.count / 2])); \(different) different"
    }

    private static func spread<Value: Comparable>(_ values: [Value]) -> (Value, Value, Value)? {
        let sorted = values.sorted()
        guard let first = sorted.first, let last = sorted.last else { return nil }
        return (first, sorted[sorted.count / 2], last)
    }

    private static func percent(_ share: Float) -> String { String(format: "%.3g %%", 100 * share) }

    private static func number(_ count: Int, _ name: String) -> String { "\(count) \(name)" + (count == 1 ? "" : "s") }
}
