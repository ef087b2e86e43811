import Foundation
import SegmentAnything

/// Efficiency over the number of ranks as an SVG picture: measured points, their bounds, and the model's curves.
///
/// The axis of ranks is logarithmic, from 1 to the largest measured or predicted count. Only ratios are shown.
public struct ScalingPlot {
    private let report: ScalingReport
    private let lastDoubling: Int
    private let top: Double

    // Size of the picture and of the plot area, in pixels.
    private static let (width, height) = (820.0, 520.0)
    private static let (left, right, upper, lower) = (76.0, 796.0, 52.0, 396.0)
    private static let (blue, orange, grey, ink) = ("#1f5fa8", "#c2590b", "#8a8f98", "#22262b")

    /// Creates the picture of a report.
    public init(_ report: ScalingReport) {
        self.report = report
        let most = max(report.plan.ranks.last ?? 1, report.predictions.last?.nodes ?? 2, 2)
        lastDoubling = Int.bitWidth - (most - 1).leadingZeroBitCount
        let highest = report.rows.flatMap { [$0.efficiency, $0.bound] }.max() ?? 1
        top = max(1.1, (highest * 10 + 0.5).rounded(.up) / 10)
    }

    /// The SVG text.
    public var svg: String {
        let parts = [head, axes, lines, points, legend, "</svg>\n"]
        return parts.joined(separator: "\n")
    }

    private func x(_ ranks: Double) -> Double {
        Self.left + 16 + log2(ranks) / Double(lastDoubling) * (Self.right - Self.left - 32)
    }

    private func y(_ efficiency: Double) -> Double { Self.lower - efficiency / top * (Self.lower - Self.upper) }

    private var head: String {
        let title =
            "Efficiency by number of ranks: \(report.plan.model.rawValue), \(report.plan.threads) "
            + "thread\(report.plan.threads == 1 ? "" : "s") per rank"
        return """
            <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 \(Int(Self.width)) \(Int(Self.height))" \
            width="\(Int(Self.width))" height="\(Int(Self.height))" \
            font-family="Helvetica, Arial, DejaVu Sans, sans-serif" font-size="13">
            <title>\(title)</title>
            <rect width="100%" height="100%" fill="#ffffff"/>
            \(text(Self.left, 30, title, size: 16, weight: "bold"))
            """
    }

    private var axes: String {
        var parts: [String] = []
        for tenth in stride(from: 0, through: Int(top * 10), by: 2) {
            let level = y(Double(tenth) / 10)
            parts.append(line(Self.left, level, Self.right, level, colour: tenth == 10 ? "#9aa0a8" : "#e3e5e8"))
            parts.append(text(Self.left - 8, level + 4, "\(tenth * 10) %", anchor: "end"))
        }
        for doubling in 0...lastDoubling {
            let place = x(Double(1 << doubling))
            parts.append(line(place, Self.lower, place, Self.lower + 5, colour: Self.ink))
            parts.append(text(place, Self.lower + 20, "\(1 << doubling)", anchor: "middle"))
        }
        parts.append(line(Self.left, Self.lower, Self.right, Self.lower, colour: Self.ink))
        parts.append(line(Self.left, Self.upper, Self.left, Self.lower, colour: Self.ink))
        parts.append(text((Self.left + Self.right) / 2, Self.lower + 42, "ranks (logarithmic)", anchor: "middle"))
        let middle = (Self.upper + Self.lower) / 2
        parts.append(
            "<text transform=\"rotate(-90)\" x=\"\(Self.pixel(-middle))\" y=\"22\" text-anchor=\"middle\" "
                + "fill=\"\(Self.ink)\">efficiency</text>")
        return parts.joined(separator: "\n")
    }

    /// The model on nodes with one rank each, for both exchange patterns.
    private var lines: String {
        guard var model = report.model, let network = report.predictedNetwork else { return "" }
        model.network = network
        func path(_ value: (ScalingModel.Prediction) -> Double, _ style: String) -> String {
            let places = (0...lastDoubling).map { doubling in
                let prediction = model.prediction(nodes: 1 << doubling, images: report.plan.imagesPerRank)
                return "\(Self.pixel(x(Double(1 << doubling)))),\(Self.pixel(y(value(prediction))))"
            }
            return "<polyline points=\"\(places.joined(separator: " "))\" fill=\"none\" stroke-width=\"2\" \(style)/>"
        }
        return path(\.efficiency, "stroke=\"\(Self.blue)\"") + "\n"
            + path(\.pairwiseEfficiency, "stroke=\"\(Self.blue)\" stroke-dasharray=\"7 5\"")
    }

    private var points: String {
        report.rows.flatMap { row -> [String] in
            let place = x(Double(row.point.work.ranks))
            let isWeak = row.mode == .weak
            let bound = y(row.bound)
            var marks = [
                "<line x1=\"\(Self.pixel(place - 11))\" y1=\"\(Self.pixel(bound))\" x2=\"\(Self.pixel(place + 11))\" "
                    + "y2=\"\(Self.pixel(bound))\" stroke=\"\(Self.grey)\" stroke-width=\"3\"/>"
            ]
            marks.append(Self.mark(isWeak, place, y(row.efficiency)))
            return marks
        }.joined(separator: "\n")
    }

    private var legend: String {
        let (first, second, base) = (Self.left + 8, Self.left + 330, Self.height - 52)
        var parts = [line(first, base - 4, first + 26, base - 4, colour: Self.blue, width: 2)]
        parts.append(text(first + 34, base, "model, one rank per node, tree exchanges"))
        parts.append(
            "<line x1=\"\(Self.pixel(first))\" y1=\"\(Self.pixel(base + 18))\" x2=\"\(Self.pixel(first + 26))\" "
                + "y2=\"\(Self.pixel(base + 18))\" stroke=\"\(Self.blue)\" stroke-width=\"2\" "
                + "stroke-dasharray=\"7 5\"/>"
        )
        parts.append(text(first + 34, base + 22, "model, gradients and parameters pairwise"))
        parts.append(Self.mark(true, second + 8, base - 4))
        parts.append(text(second + 24, base, "measured, weak scaling"))
        parts.append(Self.mark(false, second + 8, base + 18))
        parts.append(text(second + 24, base + 22, "measured, strong scaling"))
        parts.append(line(second + 200, base - 4, second + 222, base - 4, colour: Self.grey, width: 3))
        parts.append(text(second + 230, base, "bound by shared cores"))
        return parts.joined(separator: "\n")
    }

    /// A disc for weak scaling, a square for strong.
    private static func mark(_ isWeak: Bool, _ x: Double, _ y: Double) -> String {
        isWeak
            ? "<circle cx=\"\(pixel(x))\" cy=\"\(pixel(y))\" r=\"5.5\" fill=\"\(orange)\" stroke=\"#ffffff\"/>"
            : "<rect x=\"\(pixel(x - 5))\" y=\"\(pixel(y - 5))\" width=\"10\" height=\"10\" fill=\"none\" "
                + "stroke=\"\(orange)\" stroke-width=\"2\"/>"
    }

    private func line(
        _ x1: Double, _ y1: Double, _ x2: Double, _ y2: Double, colour: String, width: Int = 1
    ) -> String {
        "<line x1=\"\(Self.pixel(x1))\" y1=\"\(Self.pixel(y1))\" x2=\"\(Self.pixel(x2))\" y2=\"\(Self.pixel(y2))\" "
            + "stroke=\"\(colour)\" stroke-width=\"\(width)\"/>"
    }

    private func text(
        _ x: Double, _ y: Double, _ content: String, anchor: String = "start", size: Int = 13, weight: String = "normal"
    ) -> String {
        "<text x=\"\(Self.pixel(x))\" y=\"\(Self.pixel(y))\" text-anchor=\"\(anchor)\" font-size=\"\(size)\" "
            + "font-weight=\"\(weight)\" fill=\"\(Self.ink)\">\(content)</text>"
    }

    private static func pixel(_ value: Double) -> String { ScalingReport.fixed(value, 1) }
}
