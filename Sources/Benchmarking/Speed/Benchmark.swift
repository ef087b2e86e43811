import Foundation
public import Kernels

/// Times pieces of work relative to the ceiling of matrix products, so that a noisy or throttled machine slows both.
///
/// A round measures `cblas_sgemm` and then every piece once; a piece's figure is the median over rounds of its seconds,
/// and of its rate over the ceiling of the same round.
public struct Benchmark {
    /// A piece of work.
    public struct Piece {
        /// The name of the work.
        public var name: String
        /// Floating-point operations per run, two per multiply-add; 0 if a rate is meaningless.
        public var operations: Double
        /// The name of an earlier piece with which its time is compared, round by round; nil for none.
        public var reference: String?
        /// The work.
        public var body: () throws -> Void

        /// Creates a piece.
        public init(
            _ name: String, operations: Double = 0, relativeTo reference: String? = nil,
            _ body: @escaping () throws -> Void
        ) {
            (self.name, self.operations, self.reference, self.body) = (name, operations, reference, body)
        }
    }

    /// The measurement of a piece.
    public struct Figure: Codable, Sendable, Equatable {
        /// The name of the work.
        public var name: String
        /// Median seconds per run.
        public var seconds: Double
        /// Fastest run.
        public var fastest: Double
        /// Slowest run.
        public var slowest: Double
        /// 10^9 operations per second at the median, or nil.
        public var gigaflops: Double?
        /// Median of rate over the ceiling of the same round, or nil.
        public var share: Double?
        /// Median of the time over that of `reference` in the same round, or nil.
        public var ratio: Double?
        /// The piece with which it is compared, or nil.
        public var reference: String?
    }

    /// All figures of a benchmark.
    public struct Report: Codable, Sendable, Equatable {
        /// The subject, as in `encoder`.
        public var subject: String
        /// The model, as in recipes.
        public var model: String
        /// Compute threads.
        public var threads: Int
        /// The core whose kernels OpenBLAS uses.
        public var openBLASCore: String
        /// Median of `cblas_sgemm`, 10^9 operations per second on all threads.
        public var ceilingGigaflops: Double
        /// Rounds measured.
        public var rounds: Int
        /// Largest resident set of the process, bytes.
        public var peakBytes: Int
        /// The figures in the order of the pieces.
        public var figures: [Figure]

        /// Creates a report.
        public init(
            subject: String, model: String, threads: Int, openBLASCore: String, ceilingGigaflops: Double, rounds: Int,
            peakBytes: Int, figures: [Figure]
        ) {
            (self.subject, self.model, self.threads) = (subject, model, threads)
            (self.openBLASCore, self.ceilingGigaflops) = (openBLASCore, ceilingGigaflops)
            (self.rounds, self.peakBytes, self.figures) = (rounds, peakBytes, figures)
        }
    }

    private let workspace: Workspace
    private let rounds: Int
    private let warmsUp: Bool

    /// Creates a benchmark.
    ///
    /// - Parameters:
    ///   - rounds: Measured rounds.
    ///   - warmsUp: True to run every piece once before measuring.
    public init(workspace: Workspace, rounds: Int, warmsUp: Bool = true) {
        precondition(rounds > 0, "a benchmark needs a round")
        (self.workspace, self.rounds, self.warmsUp) = (workspace, rounds, warmsUp)
    }

    /// Runs all pieces. A piece's reference is the name of another piece. Rethrows what a piece throws.
    public func run(_ pieces: [Piece]) throws -> (ceiling: Double, figures: [Figure]) {
        if warmsUp { for piece in pieces { try piece.body() } }
        var ceilings: [Double] = []
        var seconds = [[Double]](repeating: [], count: pieces.count)
        for _ in 0..<rounds {
            ceilings.append(MatrixRate.measure(pool: workspace.pool))
            for (index, piece) in pieces.enumerated() {
                let start = ContinuousClock.now
                try piece.body()
                seconds[index].append((ContinuousClock.now - start) / .seconds(1))
            }
        }
        let figures = zip(pieces, seconds).map { piece, times in
            let hasRate = piece.operations > 0
            let compared = pieces.firstIndex { $0.name == piece.reference }.map { seconds[$0] }
            return Figure(
                name: piece.name, seconds: Self.median(times), fastest: times.min() ?? 0, slowest: times.max() ?? 0,
                gigaflops: hasRate ? piece.operations / Self.median(times) * 1e-9 : nil,
                share: hasRate ? Self.median(zip(times, ceilings).map { piece.operations / $0 / $1 }) : nil,
                ratio: compared.map { Self.median(zip(times, $0).map { $0 / $1 }) }, reference: piece.reference)
        }
        return (Self.median(ceilings), figures)
    }

    /// The median; for an even count, the mean of the two middle values.
    static func median(_ values: [Double]) -> Double {
        guard !values.isEmpty else { return .nan }
        let sorted = values.sorted()
        let middle = sorted.count / 2
        return sorted.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
    }
}

extension Benchmark.Report {
    /// The report as text.
    public var text: String {
        let head =
            "\(subject) of \(model), \(threads) thread\(threads == 1 ? "" : "s"), OpenBLAS core \(openBLASCore), "
            + "ceiling \(Self.number(ceilingGigaflops, 1)) GFLOP/s (cblas_sgemm), median of \(rounds)"
        let width = max(4, figures.map(\.name.count).max() ?? 0)
        var lines = [head, Self.row(width, "", "ms", "fastest", "slowest", "GFLOP/s", "ceiling")]
        for figure in figures {
            lines.append(
                Self.row(
                    width, figure.name, Self.number(figure.seconds * 1e3, 2), Self.number(figure.fastest * 1e3, 2),
                    Self.number(figure.slowest * 1e3, 2), figure.gigaflops.map { Self.number($0, 1) } ?? "",
                    figure.share.map { Self.number($0 * 100, 0) + " %" } ?? ""))
        }
        for figure in figures {
            guard let ratio = figure.ratio, let reference = figure.reference else { continue }
            lines.append("\(figure.name): \(Self.number(ratio, 4)) of \(reference)")
        }
        lines.append("peak memory of the process: \(peakBytes >> 20) MiB")
        return lines.joined(separator: "\n")
    }

    private static func row(_ width: Int, _ name: String, _ cells: String...) -> String {
        name.padding(toLength: width, withPad: " ", startingAt: 0)
            + cells.map { String(repeating: " ", count: max(1, 11 - $0.count)) + $0 }.joined()
    }

    private static func number(_ value: Double, _ digits: Int) -> String { String(format: "%.\(digits)f", value) }
}
