import Evaluation
import Foundation
import Imaging
import Testing

/// Summaries and tables of a continual run.
@Suite struct ContinualScoreTests {
    /// Two domains forgotten by different amounts; the middle stage is the best for the first.
    private var matrix: ScoreMatrix {
        var matrix = ScoreMatrix(domains: ["a", "b", "c"])
        matrix.append([0.5], natural: 0.9)
        matrix.append([0.75, 0.5])
        matrix.append([0.25, 0.125, 0.75], natural: 0.625)
        return matrix
    }

    @Test func summaries() {
        #expect(matrix.last == 1.125 / 3)
        #expect(matrix.average == (0.5 + 0.625 + 1.125 / 3) / 3)
        #expect(matrix.forgettingFromDiagonal == (0.25 + 0.375) / 2)
        #expect(matrix.forgettingFromMaximum == (0.5 + 0.375) / 2)
        #expect(matrix.lastNatural == 0.625 && matrix.isComplete)
    }

    /// Scores on domains still to come, and the Natural ones, are in no summary.
    @Test func whatIsKeptApart() {
        var other = ScoreMatrix(domains: ["a", "b", "c"])
        other.append([0.5, 0.99, .nan], natural: 0.1)
        other.append([0.75, 0.5, 0.99], natural: .nan)
        other.append([0.25, 0.125, 0.75], natural: 0.2)
        #expect(other.rows == matrix.rows && other.last == matrix.last && other.average == matrix.average)
        #expect(other.natural == [0.1, nil, 0.2])
        #expect(other[0, 1] == nil && other[2, 1] == 0.125)
    }

    @Test func missingScoresGiveNoSummary() {
        var gap = ScoreMatrix(domains: ["a", "b", "c"])
        #expect(gap.last == nil && gap.average == nil && gap.forgettingFromDiagonal == nil)
        gap.append([0.5])
        #expect(gap.last == 0.5 && gap.average == 0.5 && gap.forgettingFromMaximum == nil)
        gap.append([.nan, 0.5])
        #expect(gap.last == nil && gap.average == nil && gap.forgettingFromDiagonal == nil)
        gap.append([0.25, 0.25, 0.25])
        #expect(gap.last == 0.25 && gap.forgettingFromDiagonal == (0.25 + 0.25) / 2)
        #expect(gap.forgettingFromMaximum == nil, "the best of an unknown score is unknown")
    }

    /// Joint training learns all domains in one stage.
    @Test func jointTraining() {
        var joint = ScoreMatrix(domains: ["a", "b"], learned: [2])
        joint.append([0.5, 0.75])
        #expect(joint.last == 0.625 && joint.average == 0.625)
        #expect(joint.forgettingFromDiagonal == nil && joint.forgettingFromMaximum == nil)
        var pairs = ScoreMatrix(domains: ["a", "b", "c"], learned: [2, 3])
        pairs.append([0.5, 0.75, 0.5])
        pairs.append([0.25, 0.75, 1])
        #expect(pairs.forgettingFromDiagonal == 0.125 && pairs.rows[0] == [0.5, 0.75, nil])
    }

    @Test func jsonReturnsWhatWasWritten() throws {
        let scores = ContinualScores(
            title: "naive", measures: [.init(name: "IoU", matrix: matrix)], notes: ["small data"])
        let data = try scores.json()
        #expect(try ContinualScores(json: data) == scores)
        let text = String(decoding: data, as: UTF8.self)
        #expect(text.contains("\"average\" : 0.5") && text.contains("null"))
        for (old, new) in [("\"c\"", "\"a\""), ("\"learned\" : [\n          1", "\"learned\" : [\n          2")] {
            let broken = text.replacing(old, with: new)
            #expect(broken != text)
            #expect(throws: DecodingError.self) { try ContinualScores(json: Data(broken.utf8)) }
        }
    }

    @Test func tables() {
        let scores = ContinualScores(
            title: "naive", measures: [.init(name: "IoU", matrix: matrix)], notes: ["small data"])
        #expect(
            scores.text == """
                naive

                      Last    Avg     FF  FF (max)  Natural
                IoU  37.50  50.00  31.25     43.75    62.50

                IoU after     1     2     3  Natural
                1 a        50.0                 90.0
                2 b        75.0  50.0              -
                3 c        25.0  12.5  75.0     62.5

                small data

                """)
        #expect(
            scores.markdown == """
                ## naive

                |  | Last | Avg | FF | FF (max) | Natural |
                |---|---:|---:|---:|---:|---:|
                | IoU | 37.50 | 50.00 | 31.25 | 43.75 | 62.50 |

                | IoU after | a | b | c | Natural |
                |---|---:|---:|---:|---:|
                | a | 50.0 |  |  | 90.0 |
                | b | 75.0 | 50.0 |  | - |
                | c | 25.0 | 12.5 | 75.0 | 62.5 |

                - small data

                """)
    }

    /// The eight domains of the benchmark with Natural are one block; twelve need two. No line is longer than 80 columns.
    @Test(arguments: [8, 12, 30]) func textFitsATerminal(count: Int) {
        var matrix = ScoreMatrix(domains: (0..<count).map { "a domain with a long name \($0)" })
        for stage in 0..<count { matrix.append([Double?](repeating: 1, count: stage + 1), natural: 1) }
        let lines = ContinualScores(
            title: "wide", measures: [.init(name: "boundary IoU", matrix: matrix)],
            notes: [String(repeating: "word ", count: 40)]
        ).text.split(separator: "\n", omittingEmptySubsequences: false)
        #expect(lines.allSatisfy { $0.count <= 80 }, "\(lines.map(\.count).max() ?? 0)")
        #expect(lines.count { $0.hasPrefix("boundary") } == 1 + (count == 8 ? 1 : count == 12 ? 2 : 4))
        #expect(lines.last { $0.hasPrefix("\(count) ") }?.hasSuffix(" 100.0") == true)
    }
}

/// IoU and boundary IoU at the size of the image.
@Suite struct OriginalMaskScoreTests {
    private func mask(_ rows: [String]) -> [Bool] { rows.joined().map { $0 == "#" } }

    private func score(_ prediction: [String], _ truth: [String]) -> OriginalMaskScore {
        OriginalMaskScore(
            prediction: mask(prediction), truth: mask(truth), width: truth[0].count, height: truth.count)
    }

    @Test func knownCounts() {
        let scores = [
            score(["##..", "##..", "...."], [".##.", ".##.", "...."]), score(["....", "...."], ["....", "...."]),
            score(["....", "...."], ["#...", "...."]),
        ]
        #expect(scores.map(\.iou) == [2.0 / 6, 1, 0] && scores.map(\.isEmpty) == [false, true, false])
        #expect(scores.map(\.boundaryIoU) == [2.0 / 6, 1, 0], "a defect thinner than the rim is all rim")
    }

    /// On images whose 2 % band covers every defect both scores agree, as in the published log of thin-defect sets.
    @Test func bandsThatSwallowTheDefect() {
        let (width, height) = (300, 400)
        #expect(BoundaryIoU.distance(width: width, height: height) == 10)
        func bar(_ top: Int, _ thickness: Int) -> [Bool] {
            (0..<width * height).map {
                (top..<top + thickness).contains($0 / width) && (20..<280).contains($0 % width)
            }
        }
        let thin = OriginalMaskScore(prediction: bar(100, 18), truth: bar(104, 20), width: width, height: height)
        #expect(thin.iou == thin.boundaryIoU && thin.iou > 0.5)
        let thick = OriginalMaskScore(prediction: bar(100, 90), truth: bar(104, 90), width: width, height: height)
        #expect(thick.iou > thick.boundaryIoU)
    }

    @Test func labelsAboveTheThreshold() {
        let label = Image(width: 3, height: 1, channels: 3, pixels: [128, 255, 255, 129, 0, 0, 255, 1, 1])
        #expect(OriginalMaskScore.foreground(of: label) == [false, true, true])
    }
}
