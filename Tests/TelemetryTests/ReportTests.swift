import Foundation
import Machine
import Telemetry
import Testing

/// The closing table, exit codes and process memory.
@Suite struct ReportTests {
    private func record(_ prompt: String, _ iou: Double, _ f1: Double) -> EvaluationRecord {
        EvaluationRecord(
            run: "kvasir", prompt: prompt, scores: .init(iou: iou, f1: f1), step: 0, images: 40, instances: 40,
            threshold: 0,
            seconds: 1)
    }

    @Test func theTableAlignsBeforeAndAfter() {
        let table = EvaluationTable(
            before: [record("box", 0.89, 0.94), record("point", 0.761, 0.8)],
            after: [record("box", 0.8934, 0.9395), record("coarse", .nan, 0.5)])
        #expect(
            table.text == """
                run     prompt  images  IoU before  IoU after   change  F1 before  F1 after   change
                kvasir  box         40      0.8900     0.8934  +0.0034     0.9400    0.9395  -0.0005
                kvasir  point       40      0.7610          -        -     0.8000         -        -
                kvasir  coarse      40           -        nan        -          -    0.5000        -
                """)
    }

    @Test func withSeveralSourcesTheirNamesTellTheRows() {
        func named(_ source: String, _ iou: Double) -> EvaluationRecord {
            var record = record("box", iou, 0.5)
            record.source = source
            return record
        }
        let table = EvaluationTable(
            before: [named("cells", 0.25), named("fibres", 0.5)], after: [named("cells", 0.5), named("fibres", 0.25)])
        #expect(
            table.text == """
                source  prompt  images  IoU before  IoU after   change  F1 before  F1 after   change
                cells   box         40      0.2500     0.5000  +0.2500     0.5000    0.5000  +0.0000
                fibres  box         40      0.5000     0.2500  -0.2500     0.5000    0.5000  +0.0000
                """)
    }

    @Test func exitCodesAreStable() {
        #expect(ExitCode.allCases.map(\.rawValue) == [0, 64, 65, 66, 69, 70, 71, 72, 73, 75, 76])
        #expect(Set(ExitCode.allCases.map(\.meaning)).count == ExitCode.allCases.count)
    }

    @Test func theExitCodePageIsCurrent() throws {
        let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().appendingPathComponent("docs/reference/exit-codes.md")
        if ProcessInfo.processInfo.environment["KEDGE_UPDATE_REFERENCE"] == "1" {
            try ExitCode.markdown.write(to: file, atomically: true, encoding: .utf8)
        }
        #expect(try String(contentsOf: file, encoding: .utf8) == ExitCode.markdown)
    }

    @Test func peakMemoryGrowsWithUse() {
        let before = ProcessMemory.peakResidentBytes()
        #expect(before > 1 << 20)
        let bytes = [UInt8](repeating: 1, count: before + (64 << 20))
        #expect(ProcessMemory.peakResidentBytes() >= before + (48 << 20))
        #expect(bytes[bytes.count - 1] == 1)
    }

    @Test func errorsSayWhatToDo() {
        let error = TelemetryError(operation: .open, path: "runs/x/log.jsonl", systemError: EACCES)
        #expect(
            error.description == "log: cannot open runs/x/log.jsonl: Permission denied; make it writable, or choose "
                + "another run.folder")
        #expect(error.exitCode == .cannotWrite)
    }
}
