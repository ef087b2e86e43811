import CheckpointStore
import Foundation
import Glibc
import Runs
import Telemetry
import Testing
import TestSupport

/// What a run makes of the folder it finds.
@Suite struct RunFolderTests {
    private let place: TemporaryFolder
    private let files = FileManager.default
    private var folder: RunFolder { RunFolder(folder: place.path, name: "run") }
    private var precious: String { place.path + "/precious" }

    init() throws {
        place = try TemporaryFolder("run-folder-tests")
        try folder.make()
        try write("precious", precious)
    }

    private func write(_ text: String, _ path: String) throws {
        try text.write(toFile: path, atomically: false, encoding: .utf8)
    }

    private func link(_ name: String, to target: String) throws {
        try files.createSymbolicLink(atPath: folder.path + "/" + name, withDestinationPath: target)
    }

    private static let names = [
        "recipe.yaml", "log.jsonl", "evaluation.csv", "images-000004-box.csv", "summary.txt", "adapters", "checkpoints",
        "automatic", "watch",
    ]

    @Test(arguments: names) func linksInsideAreRefused(name: String) throws {
        try folder.refuseLinks()
        try link(name, to: name.contains(".") ? precious : place.path)
        let error = try #require(throws: CheckpointError.self) { try folder.refuseLinks() }
        #expect(
            error.kind == .cannotWrite && error.description.contains(folder.path + "/" + name + ": is a symbolic link"))
        #expect(try String(contentsOfFile: precious, encoding: .utf8) == "precious")
    }

    @Test func otherWaysOutAreRefusedToo() throws {
        try files.createDirectory(atPath: folder.path + "/automatic", withIntermediateDirectories: true)
        try link("automatic/cells", to: place.path)
        #expect(throws: CheckpointError.self) { try folder.refuseLinks() }
        try files.removeItem(atPath: folder.path + "/automatic" + "/cells")
        try files.linkItem(atPath: precious, toPath: folder.path + "/log.jsonl")
        #expect(try #require(throws: CheckpointError.self) { try folder.refuseLinks() }.reason.contains("hard link"))
        try files.removeItem(atPath: folder.path + "/log.jsonl")
        #expect(mkfifo(folder.path + "/evaluation.csv", 0o644) == 0)
        #expect(throws: CheckpointError.self) { try folder.refuseLinks() }
    }

    /// Links that no write follows, and names that are not a run's, are nobody's business.
    @Test func whatIsNotWrittenThroughStays() throws {
        try link("notes.txt", to: precious)
        try link("adapter.safetensors", to: precious)
        try files.linkItem(atPath: precious, toPath: folder.path + "/recipe.yaml")
        try folder.refuseLinks()
        try folder.create(recipe: "a: 1\n", overwriting: false, resuming: true)
        try folder.writeSummary("done")
        #expect(try String(contentsOfFile: folder.path + "/recipe.yaml", encoding: .utf8) == "a: 1\n")
        #expect(try String(contentsOfFile: precious, encoding: .utf8) == "precious")
    }

    private func begin() throws {
        try folder.create(recipe: "a: 1\n", overwriting: false, resuming: false)
        try files.createDirectory(atPath: folder.checkpoints + "/step-000000", withIntermediateDirectories: true)
        try write("{\"event\":\"start\"}\n", folder.path + "/log.jsonl")
    }

    @Test func aRunWithoutAStepIsNone() throws {
        #expect(!folder.isUnbegun && !folder.holdsRun)
        try begin()
        #expect(folder.isUnbegun && folder.holdsRun)
    }

    @Test(arguments: [
        "adapter.safetensors", "summary.txt", "adapters/step-000004.safetensors", "checkpoints/step-000004",
        "checkpoints/stale-step-000009",
    ]) func whatAStepLeavesMakesARun(name: String) throws {
        try begin()
        try write("", folder.path + "/" + name)
        #expect(!folder.isUnbegun)
    }

    @Test func aLoggedStepMakesARun() throws {
        try begin()
        try write("{\"event\":\"start\"}\n{\"event\":\"step\",\"step\":1}\n", folder.path + "/log.jsonl")
        #expect(!folder.isUnbegun)
    }

    /// What the message proposes must be possible.
    @Test func theRemedyFitsWhatIsThere() throws {
        try begin()
        #expect(
            folder.heldAlready.remedy.contains("--resume auto") && folder.heldAlready.remedy.contains("--overwrite"))
        try files.removeItem(atPath: folder.checkpoints)
        #expect(!folder.heldAlready.remedy.contains("--resume") && folder.heldAlready.remedy.contains("--overwrite"))
        #expect(folder.heldAlready.problem.contains("without the checkpoints"))
    }
}
