import Foundation
import Synchronization
import Telemetry
import Testing

/// Sinks, the log's behaviour when they fail, and the messages of other ranks.
@Suite struct RunLogTests {
    private static let interval = ProgressInterval(
        seconds: 2, imagesPerSecond: 4.5, dataWaitFraction: 0.031, peerWaitFraction: 0.25, communicationFraction: 0.012,
        remainingSeconds: 3725)

    private static let step: StepRecord = {
        var step = StepRecord(
            step: 12, totalSteps: 600, epoch: 1, imagesSeen: 48, loss: 1.25,
            lossParts: [LossPart("focal", 0.0123), LossPart("dice", 0.5)], learningRate: 1e-4, interval: interval)
        (step.slowestRank, step.fastestRank) = (.init(rank: 3, seconds: 1.8), .init(rank: 0, seconds: 1.5))
        (step.peakMemoryBytes, step.sentBytes, step.computeRatio) = (812 << 20, 4096, 1.25)
        return step
    }()

    private static let evaluation = EvaluationRecord(
        run: "polyps, \"small\"", prompt: "box", scores: .init(iou: 0.75, f1: 0.8125), step: 0, images: 40,
        instances: 42, threshold: 0, seconds: 3.5)

    private static func start(ranks: Int) -> StartRecord {
        StartRecord(
            recipe: (0..<200).map { ("section.key\($0)", String(repeating: "v", count: 60)) },
            versions: [("kedge", "0.1.0"), ("openmpi", "4.1.4")],
            placement: (0..<ranks).map { .init(host: "node\($0 / 2)", cores: 8, threads: 4) },
            openBLASCore: "SkylakeX", weightsDigest: String(repeating: "a", count: 64),
            recipeDigest: String(repeating: "b", count: 64))
    }

    private func withFolder(_ body: (String) throws -> Void) throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("kedge-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try body(folder)
    }

    private func lines(_ path: String) throws -> [String] {
        try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n").map(String.init)
    }

    // MARK: JSON Lines

    @Test func stepsAreFlatSortedObjects() throws {
        let lines = JSONLine.lines(of: .step(Self.step), at: Date(timeIntervalSince1970: 1_700_000_000.25))
        #expect(lines.count == 1)
        #expect(
            String(decoding: lines[0], as: UTF8.self)
                == #"{"bad_images":0,"communication_percent":1.2,"compute_ratio":1.25,"data_wait_percent":3.1,"epoch":1,"eta_seconds":3725,"#
                + #""event":"step","fastest_rank":0,"fastest_rank_seconds":1.5,"images_per_second":4.5,"#
                + #""images_seen":48,"interval_seconds":2,"learning_rate":0.0001,"loss":1.25,"loss_dice":0.5,"#
                + #""loss_focal":0.0123,"peak_memory_bytes":851443712,"peer_wait_percent":25,"schema":1,"sent_bytes":4096,"slowest_rank":3,"#
                + #""slowest_rank_seconds":1.8,"step":12,"time":"2023-11-14T22:13:20.250Z","total_steps":600}"# + "\n")
    }

    @Test func nonFiniteNumbersBecomeNullAndAreNamed() throws {
        var step = Self.step
        step.loss = .nan
        step.lossParts = [LossPart("focal", .infinity)]
        let line = try #require(JSONLine.lines(of: .step(step), at: Date()).first)
        let object = try #require(try JSONSerialization.jsonObject(with: Data(line)) as? [String: Any])
        #expect(object["loss"] is NSNull)
        #expect(object["loss_focal"] is NSNull)
        #expect(object["nonfinite"] as? [String] == ["loss", "loss_focal"])
    }

    @Test func noLineReachesTheLimitAndNothingIsLost() throws {
        let lines = JSONLine.lines(of: .start(Self.start(ranks: 5)), at: Date())
        #expect(lines.allSatisfy { $0.count < 4096 && $0.last == UInt8(ascii: "\n") })
        let objects = try lines.map { try #require(try JSONSerialization.jsonObject(with: Data($0)) as? [String: Any]) }
        let keys = Set(objects.filter { $0["event"] as? String == "recipe" }.flatMap(\.keys))
        #expect((0..<200).allSatisfy { keys.contains("section.key\($0)") })
        #expect(
            objects.filter { $0["event"] as? String == "rank" }.map { $0["host"] as? String }
                == ["node0", "node0", "node1", "node1", "node2"])
    }

    @Test(arguments: ["x", "\u{1}", "ü", "\u{1F600}", "\""]) func longTextsAreCutAndSaidToBe(character: String) throws {
        let text = String(repeating: character, count: 5000)
        let lines = JSONLine.lines(of: .message(.warning, text), at: Date())
        let line = try #require(lines.first)
        #expect(lines.count == 1 && line.count < 4096)
        let object = try #require(try JSONSerialization.jsonObject(with: Data(line)) as? [String: Any])
        #expect(object["cut"] as? [String] == ["text"])
        #expect((object["text"] as? String)?.unicodeScalars.count == 512)
    }

    // MARK: Text

    @Test func stepLinesKeepTheirColumns() {
        let first = TextSink.text(of: .step(Self.step))
        #expect(
            first == "step  12/600  epoch  1  loss   1.2500  focal  0.0123  dice  0.5000  lr 1.00e-04    4.50 img/s  "
                + "data   3%  comm   1%  wait  25%  slow   r3 1.20x r0  mem    812 MiB  eta 01:02:05")
        var later = Self.step
        later.step = 600
        later.loss = 12.5
        later.lossParts = [LossPart("focal", .nan), LossPart("dice", 0.25)]
        later.interval.remainingSeconds = 0
        let second = TextSink.text(of: .step(later))
        #expect(second.count == first.count)
        #expect(second.contains("focal     nan"))
        later.badImages = 3
        #expect(TextSink.text(of: .step(later)).contains("  bad   3  mem"))
    }

    @Test func startAndEndAreReadable() {
        let start = TextSink.text(of: .start(Self.start(ranks: 4)))
        #expect(start.hasPrefix("start: 4 ranks (node0 x2, node1 x2); each 4 threads on 8 cores\n"))
        #expect(start.contains("OpenBLAS core SkylakeX"))
        let end = TextSink.text(of: .end(EndRecord(exitCode: .resumable, step: 7, imagesSeen: 28, seconds: 61)))
        #expect(end.hasPrefix("end: exit 75, step 7, 28 images, 00:01:01. The run stopped on request"))
    }

    // MARK: CSV

    @Test func evaluationsAreRowsUnderOneHeader() throws {
        try withFolder { folder in
            let path = folder + "/evaluation.csv"
            for _ in 0..<2 {
                let log = RunLog(
                    rank: 0, host: "h", sinks: [try CSVSink(path: path)], clock: ManualClock().clock)
                log.record(.evaluation(Self.evaluation))
                log.record(.step(Self.step))
            }
            let row = #""polyps, ""small""",box,0.75,0.8125,0,,40,42,0.0,3.5,,,,2023-11-14T22:13:20.250Z,data,data,"#
            #expect(try lines(path) == [CSVSink.header, row, row])
        }
    }

    /// A table of an earlier version gets the missing columns when a run resumes.
    @Test func anOldTableGetsTheNewColumns() throws {
        try withFolder { folder in
            let path = folder + "/evaluation.csv"
            let old = CSVSink.header.replacing(",Source,Domain,Stage", with: "")
            let rows = [0, 5, 9].map { "a,box,0.75,0.8,\($0),,40,42,0.0,3.5,,,,2023-11-14T22:13:20.250Z" }
            try Data(([old] + rows).joined(separator: "\n").utf8).write(to: URL(fileURLWithPath: path))
            try CSVSink.keepRows(of: path) { $0 < 9 }
            #expect(try lines(path) == [CSVSink.header] + rows.prefix(2).map { $0 + ",data,data," })
            // A table that has them keeps them.
            try CSVSink.keepRows(of: path) { $0 < 5 }
            #expect(try lines(path) == [CSVSink.header, rows[0] + ",data,data,"])
        }
    }

    // MARK: Facts

    @Test func factsAreEventsOfTheirOwnWithALineForPeople() {
        let facts: [(any RunFact, String, String)] = [
            (
                CheckpointFact(path: "c/step-000004", step: 4, seconds: 0.25, blockedSeconds: 0.5),
                #""blocked_seconds":0.5,"event":"checkpoint","path":"c/step-000004","schema":1,"seconds":0.25,"step":4"#,
                "checkpoint c/step-000004: published in 0.250 s, training blocked for 0.500 s"
            ),
            (
                AnchorReuseFact(epoch: 2, reused: 3, images: 9, imagesPerSecond: 1.5),
                #""epoch":2,"event":"anchors","images":9,"images_per_second":1.5,"reused":3,"schema":1"#,
                "epoch 2: 3 of 9 anchor embeddings came from the store, 1.50 img/s"
            ),
            (
                MemoryFact(plannedBytesPerRank: 3 << 20, freeBytes: nil, host: "a"),
                #""event":"memory","free_bytes":null,"host":"a","planned_bytes_per_rank":3145728,"schema":1"#,
                "memory: 3 MiB per rank expected"
            ),
            (
                WeightsFact(byteCount: 5 << 20, copies: 2, isShared: true, notes: ["b keeps them in a file"]),
                #""copies":2,"event":"weights","notes":"b keeps them in a file","schema":1,"shared_by_node":true"#,
                "frozen weights: 5 MiB, one copy on each of 2 nodes; b keeps them in a file"
            ),
            (
                AnchorStoreFact(capacity: 4, wanted: 12, found: 0, description: "room for 4 of 12"),
                #""capacity":4,"event":"anchor_store","found":0,"schema":1,"text":"room for 4 of 12""#,
                "anchor store: room for 4 of 12"
            ),
            (
                DataFact(trainingImages: 8, evaluationImages: 2, withoutInstances: 1),
                #""evaluation_images":2,"event":"data","images_without_instances":1,"schema":1"#,
                "data: 8 images to adapt to, 2 to score, 1 skipped without a labelled instance"
            ),
            (
                StageFact(stage: "b", number: 2, count: 3, domains: ["b", "c"], firstStep: 10, steps: 5),
                #""count":3,"domains":"b c","event":"stage","first_step":10,"number":2,"schema":1,"stage":"b","steps":5"#,
                "stage 2 of 3, b: 5 steps on b, c"
            ),
            (
                SourceFact(source: "a", domain: "cells", trainingImages: 4, evaluationImages: 2),
                #""domain":"cells","evaluation_images":2,"event":"source","schema":1,"source":"a""#,
                "source a of domain cells: 4 images to adapt to, 2 to score"
            ),
            (
                ResumeFact(path: "c/step-000004", step: 4), #""event":"resume","path":"c/step-000004""#,
                "resumes from c/step-000004"
            ),
            (
                AdapterFact(path: "a.safetensors", digest: "0f", step: 4),
                #""event":"adapter","path":"a.safetensors","schema":1,"sha256":"0f","step":4"#,
                "adapter a.safetensors sha256 0f"
            ),
        ]
        for (fact, fields, line) in facts {
            let json = JSONLine.lines(of: .fact(fact), at: Date(timeIntervalSince1970: 0))
            #expect(json.count == 1 && String(decoding: json[0], as: UTF8.self).hasPrefix("{" + fields), "\(fact)")
            #expect(TextSink.text(of: .fact(fact)) == line)
        }
    }

    // MARK: Files

    @Test func aTornLastLineIsEnded() throws {
        try withFolder { folder in
            let path = folder + "/log.jsonl"
            try Data("{\"a\":1}\n{\"b\"".utf8).write(to: URL(fileURLWithPath: path))
            try JSONLinesSink(path: path).write(.message(.info, "x"), at: Date())
            let found = try lines(path)
            #expect(found.count == 3)
            #expect(found[1] == "{\"b\"" && found[2].contains("\"text\":\"x\""))
        }
    }

    @Test func theUsualLogMakesItsFilesOnRankZeroOnly() throws {
        try withFolder { folder in
            _ = try RunLog(rank: 1, host: "h", folder: folder)
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder).isEmpty)
            _ = try RunLog(rank: 0, host: "h", folder: folder)
            #expect(
                try FileManager.default.contentsOfDirectory(atPath: folder).sorted() == ["evaluation.csv", "log.jsonl"])
            #expect(throws: TelemetryError.self) { try RunLog(rank: 0, host: "h", folder: folder + "/missing") }
        }
    }

    // MARK: Failing sinks

    /// Reads everything written to the other end of a pipe.
    private func captured(_ body: (Int32) throws -> Void) throws -> String {
        let pipe = Pipe()
        try body(pipe.fileHandleForWriting.fileDescriptor)
        try pipe.fileHandleForWriting.close()
        return String(decoding: try pipe.fileHandleForReading.readToEnd() ?? Data(), as: UTF8.self)
    }

    @Test func aFullDiskLosesLinesAndSaysSoTwice() throws {
        let said = try captured { errors in
            let log = RunLog(
                rank: 0, host: "node7", sinks: [try JSONLinesSink(path: "/dev/full")], errorDescriptor: errors)
            for _ in 0..<5 { log.record(.step(Self.step)) }
            #expect(log.droppedLines == 5)
            log.record(.end(EndRecord(exitCode: .done, step: 5, imagesSeen: 20, seconds: 1)))
        }
        let lines = said.split(separator: "\n")
        #expect(lines.count == 2)
        #expect(lines.first?.hasPrefix("[rank 0 node7] warning: log: cannot write /dev/full: No space left") == true)
        #expect(lines.last?.hasSuffix("6 log lines for /dev/full were lost") == true)
    }

    @Test func aReaderThatLeavesEndsItsSinkAlone() throws {
        try withFolder { folder in
            let path = folder + "/log.jsonl"
            let output = Pipe()
            try output.fileHandleForReading.close()
            let said = try captured { errors in
                let text = TextSink(descriptor: output.fileHandleForWriting.fileDescriptor)
                let log = RunLog(
                    rank: 0, host: "h", sinks: [text, try JSONLinesSink(path: path)], errorDescriptor: errors)
                for _ in 0..<3 { log.record(.step(Self.step)) }
            }
            #expect(said.split(separator: "\n").count == 1)
            #expect(said.contains("standard output: Broken pipe"))
            #expect(try lines(path).count == 3)
        }
    }

    /// A reader that stops: the run goes on, the log file is complete, the gap is counted where it is.
    @Test func aReaderThatStallsHoldsNothingUp() throws {
        try withFolder { folder in
            let path = folder + "/log.jsonl"
            let output = Pipe()
            let began = ContinuousClock.now
            var read = ""
            let said = try captured { errors in
                let text = TextSink(descriptor: output.fileHandleForWriting.fileDescriptor)
                let log = RunLog(
                    rank: 0, host: "h", sinks: [text, try JSONLinesSink(path: path)], errorDescriptor: errors)
                // A pipe takes 64 KiB.
                for _ in 0..<2000 { log.record(.step(Self.step)) }
                log.warning("careful")
                #expect(log.droppedLines > 1000)
                read += String(decoding: output.fileHandleForReading.availableData, as: UTF8.self)
                log.record(.end(EndRecord(exitCode: .done, step: 5, imagesSeen: 20, seconds: 1)))
                try output.fileHandleForWriting.close()
            }
            read += String(decoding: try output.fileHandleForReading.readToEnd() ?? Data(), as: UTF8.self)
            #expect(ContinuousClock.now - began < .seconds(10))
            #expect(try lines(path).count == 2002)
            let printed = read.split(separator: "\n")
            let steps = printed.count { $0.hasPrefix("step  12/600") && $0.hasSuffix("eta 01:02:05") }
            #expect(printed.count == steps + 2, "no line is torn")
            #expect(
                printed.suffix(2).first.map(String.init)
                    == "warning: \(2001 - steps) log lines are missing here: standard output did not take them")
            #expect(printed.last?.hasPrefix("end: exit 0") == true)
            let errors = said.split(separator: "\n").map(String.init)
            #expect(
                errors == [
                    "[rank 0 h] warning: log: the reader of standard output has stopped reading; lines are lost until it recovers",
                    "[rank 0 h] warning: careful",
                    "[rank 0 h] warning: \(2001 - steps) log lines for standard output were lost",
                ])
        }
    }

    /// Standard error may stall as well.
    @Test func warningsDoNotWaitForTheirReader() throws {
        let pipe = Pipe()
        let log = RunLog(
            rank: 1, host: "h", sinks: [], errorDescriptor: pipe.fileHandleForWriting.fileDescriptor)
        let began = ContinuousClock.now
        for _ in 0..<5000 { log.warning(String(repeating: "w", count: 100)) }
        #expect(ContinuousClock.now - began < .seconds(10))
    }

    /// Fails intermittently.
    private struct FlakySink: LogSink {
        let name = "flaky"
        var count = 0
        let written: @Sendable (Int) -> Void

        mutating func write(_ event: RunEvent, at date: Date) throws(TelemetryError) {
            count += 1
            if count % 2 == 1 { throw TelemetryError(operation: .write, path: name, systemError: ENOSPC) }
            written(count)
        }
    }

    @Test func aSinkThatRecoversIsUsedAgain() throws {
        let written = Mutex<[Int]>([])
        let said = try captured { errors in
            let sink = FlakySink { count in written.withLock { $0.append(count) } }
            let log = RunLog(rank: 0, host: "h", sinks: [sink], errorDescriptor: errors)
            for _ in 0..<4 { log.record(.step(Self.step)) }
        }
        #expect(written.withLock { $0 } == [2, 4])
        #expect(said.split(separator: "\n").count == 1)
    }

    // MARK: Other ranks

    @Test func otherRanksOnlyWarn() throws {
        let written = Mutex(0)
        let said = try captured { errors in
            let sink = FlakySink { _ in written.withLock { $0 += 1 } }
            let log = RunLog(rank: 3, host: "node1", sinks: [sink, sink], errorDescriptor: errors)
            log.record(.step(Self.step))
            log.message(.info, "quiet")
            log.warning("image a.png\nis damaged")
        }
        #expect(said == "[rank 3 node1] warning: image a.png is damaged\n")
        #expect(written.withLock { $0 } == 0)
    }

    @Test func messagesOfRankZeroGoToTheSinks() throws {
        try withFolder { folder in
            let path = folder + "/log.jsonl"
            let said = try captured { errors in
                let log = RunLog(rank: 0, host: "h", sinks: [try JSONLinesSink(path: path)], errorDescriptor: errors)
                log.warning("careful")
            }
            #expect(said.isEmpty)
            #expect(try lines(path).first?.contains(#""event":"warning","schema":1,"text":"careful""#) == true)
        }
    }
}
