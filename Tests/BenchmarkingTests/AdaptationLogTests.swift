import Benchmarking
import Testing

/// Reading of a run's log.
@Suite struct AdaptationLogTests {
    private let start =
        #"{"event":"start","first_step":0,"hosts":2,"ranks":4,"schema":1,"time":"2026-01-01T00:00:00Z"}"#
    private let end = #"{"event":"end","exit_code":0,"meaning":"done","step":2,"schema":1}"#

    private func step(_ seconds: String, wait: String = "") -> String {
        #"{"communication_percent":12.5,"event":"step","interval_seconds":"# + seconds
            + #","loss":null,"nonfinite":["loss"],"peak_memory_bytes":1048576"# + wait + "}"
    }

    private func read(_ lines: [String]) throws -> AdaptationLog {
        try AdaptationLog(text: lines.joined(separator: "\n") + "\n", path: "runs/a/log.jsonl")
    }

    @Test func stepsAreRead() throws {
        let other = #"{"event":"info","text":"data: 8 images"}"#
        let log = try read([start, other, step("2.5"), step("1.5", wait: #","peer_wait_percent":5"#), end])
        #expect(log.ranks == 4 && log.hosts == 2)
        #expect(log.steps.map(\.seconds) == [2.5, 1.5])
        #expect(log.steps.map(\.communication) == [0.125, 0.125])
        #expect(log.steps.map(\.peerWait) == [nil, 0.05])
        #expect(log.steps.map(\.peakBytes) == [1 << 20, 1 << 20])
    }

    /// Long events go on in a second line of the same name.
    @Test func aBeginningInTwoLinesIsRead() throws {
        let log = try read([#"{"event":"start","ranks":3}"#, #"{"event":"start","hosts":1}"#, step("1"), end])
        #expect(log.ranks == 3 && log.hosts == 1)
    }

    @Test func whatIsNoLogIsRefused() {
        let cases: [(lines: [String], word: String)] = [
            ([start, #"{"event":"step","inter"#, end], "line 2"), (["text"], "line 1"), ([start, end], "no step"),
            ([start, #"{"event":"step","interval_seconds":1}"#, end], "line 2"),
            ([start, step("null"), end], "line 2"),
            ([start, step("0"), end], "line 2"), ([start, step("1")], "no end line"), ([step("1"), end], "start line"),
            ([start, step("1"), #"{"event":"end","exit_code":75}"#], "status 0"), ([], "start line"),
        ]
        for (lines, word) in cases {
            let error = #expect(throws: ScalingError.self) { try read(lines) }
            #expect(error?.kind == .malformedLog)
            #expect(error?.description.contains(word) == true, "\(error?.description ?? "") of \(lines)")
            #expect(error?.problem.hasPrefix("runs/a/log.jsonl: ") == true)
        }
    }
}
