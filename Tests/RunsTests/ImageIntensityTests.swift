import Adapters
import CheckpointStore
import Collectives
import Datasets
import DataTools
import Foundation
import Imaging
import Kernels
import Machine
import ModelLoading
import Recipes
import Runs
import Synchronization
import TestSupport
import Testing
import Training

/// Images of more than 8 bits in a run: what is recorded, repeated, resumed and said.
@Suite struct ImageIntensityTests {
    private let place: TemporaryFolder

    /// Six images in three forms: 8 bits, 12 bits in 16, camera counts.
    init() throws {
        BLASEnvironment.useSingleThread()
        place = try TemporaryFolder("intensity")
        try SyntheticCells.write(to: place.path + "/eight", count: 6, side: 64, seed: 5, severity: 1)
        try deepen("twelve") { $0 * 16 }
        try deepen("counts") { $0 * 3 + 100 }
    }

    private func deepen(_ name: String, _ form: (Int) -> Int) throws {
        let files = FileManager.default
        try files.copyItem(atPath: place.path + "/eight", toPath: place.path + "/" + name)
        for file in try files.contentsOfDirectory(atPath: place.path + "/eight/images") {
            let image = try ImageFile.decode(path: "\(place.path)/eight/images/\(file)")
            let samples = image.pixels.flatMap { value -> [UInt8] in
                let deep = form(Int(value))
                return [UInt8(deep >> 8), UInt8(deep & 255)]
            }
            let bytes = try ImageFile.encodePNG(
                samples: samples, width: image.width, height: image.height, channels: 3, bytesPerSample: 2)
            try Data(bytes).write(to: URL(fileURLWithPath: "\(place.path)/\(name)/images/\(file)"))
        }
    }

    private func settings(_ data: String, _ name: String, _ more: [String] = []) -> [String] {
        [
            "model.kind=tiny", "data.root=\(place.path)/\(data)", "data.split=2:1", "training.globalBatch=2",
            "training.steps=2", "optimizer.warmUpSteps=1", "optimizer.learningRate=1e-2", "prompts.maximumInstances=3",
            "evaluation.prompts=box", "run.folder=\(place.path)/runs", "run.name=\(name)",
        ] + more
    }

    private func run(_ settings: [String], ranks: Int = 1) throws -> AdaptationRun.Outcome {
        let recipe = try ResolvedRecipe(settings: settings)
        return try InProcessCommunicator.run(ranks: ranks) { communicator in
            try AdaptationRun(
                recipe: recipe, communicator: communicator, workspace: Workspace(threads: 1),
                isStopRequested: { false }
            ).run()
        }[0]
    }

    private func adapter(_ name: String) throws -> AdapterFile {
        try AdapterFile(opening: place.path + "/runs/\(name)/adapter.safetensors")
    }

    /// The numbers of an adapter, without the metadata before them.
    private func parameters(_ name: String) throws -> Data {
        let data = try Data(contentsOf: URL(fileURLWithPath: place.path + "/runs/\(name)/adapter.safetensors"))
        let header = data.prefix(8).reversed().reduce(0) { $0 << 8 | Int($1) }
        return data.dropFirst(8 + header)
    }

    private func log(_ name: String) throws -> String {
        try String(contentsOfFile: place.path + "/runs/\(name)/log.jsonl", encoding: .utf8)
    }

    private func evaluate(
        _ settings: [String], adapter name: String?, ranks: Int = 1
    ) throws -> (lines: [String], notices: [String]) {
        let notices = Mutex<[String]>([])
        let recipe = try ResolvedRecipe(settings: settings)
        let lines = try InProcessCommunicator.run(ranks: ranks) { communicator in
            try EvaluationRun(
                recipe: recipe, communicator: communicator, workspace: Workspace(threads: 1),
                notice: { line in notices.withLock { $0.append(line) } }
            ).run(
                adapter: name.map { "\(place.path)/runs/\($0)/adapter.safetensors" }, output: nil, pictures: 0
            ).map(\.line)
        }[0]
        return (lines, notices.withLock { $0 })
    }

    /// The same pictures in two forms train the same bits by default, on any number of ranks, and the reading is said.
    @Test func formsOfTheSameImagesTrainTheSameBits() throws {
        _ = try run(settings("twelve", "a"))
        _ = try run(settings("counts", "b"), ranks: 3)
        _ = try run(settings("eight", "c", ["data.intensity=percentile"]))
        #expect(try parameters("a") == parameters("b"))
        #expect(try parameters("a") == parameters("c"))
        _ = try run(settings("counts", "d", ["data.intensity=full"]))
        #expect(try parameters("a") != parameters("d"))
        #expect(try log("a").contains("6 images have more than 8 bits, read with data.intensity=auto; "))
        #expect(try log("a").contains(" of 65535, scaled by percentiles ("))
        #expect(try log("d").contains("cut to the high 8 bits; data.intensity=auto would scale them"))
        #expect(try !log("c").contains("more than 8 bits"))
    }

    @Test func adaptersStateTheReadingAndItIsRepeated() throws {
        _ = try run(settings("counts", "minmax", ["data.intensity=minmax", "data.intensityScope=dataset"]), ranks: 2)
        let text = try #require(try adapter("minmax").description.intensity)
        let entry = try #require(IntensityRecord(text: text)?.common)
        #expect(text.hasPrefix("data=minmax,dataset,16:") && entry.ranges?.eight == nil)
        // By any number of ranks, and with the range of the training for other images.
        let asTrained = try evaluate(
            settings("counts", "x", ["data.intensity=minmax", "data.intensityScope=dataset"]), adapter: "minmax")
        for ranks in [1, 3] {
            let repeated = try evaluate(settings("counts", "x"), adapter: "minmax", ranks: ranks)
            #expect(repeated.lines == asTrained.lines)
            #expect(repeated.notices.count == 1 && repeated.notices[0].contains("with data.intensity=minmax; "))
            #expect(repeated.notices[0].contains("scaled by the data set's minimum and maximum ("))
        }
        let other = try evaluate(settings("counts", "x", ["data.intensity=full"]), adapter: "minmax")
        #expect(other.lines != asTrained.lines)
        #expect(
            other.notices.first?.hasSuffix(
                "minmax/adapter.safetensors was trained with data.intensity=minmax over the data set, images are read "
                    + "with data.intensity=full") == true)
        #expect(other.notices.last?.hasPrefix("warning: 6 images have more than 8 bits") == true)
    }

    /// One pass over all images of the run, the same on all ranks.
    @Test func theRangeOfTheDataSetIsTheSameOnAllRanks() throws {
        let more = ["data.intensity=percentile", "data.intensityScope=dataset"]
        let digests = try [1, 2, 3].map { try run(settings("twelve", "set-\($0)", more), ranks: $0).adapterDigest }
        #expect(Set(digests).count == 1 && digests[0] != nil)
        let entry = try #require(
            try adapter("set-1").description.intensity.flatMap { IntensityRecord(text: $0) }?.common)
        var counts = IntensityMeasurement()
        let dataset = try DatasetRegistry.open("folder", DatasetOptions(root: place.path + "/twelve"))
        for index in (0..<6).reversed() { try counts.add(dataset, index) }
        #expect(entry.ranges == counts.ranges(.percentile) && entry.ranges?.sixteen != nil)
    }

    @Test func theChoiceIsPartOfTheDigest() throws {
        let recipes = try [
            [], ["data.intensity=full"], ["data.intensity=minmax"], ["data.intensity=percentile"],
            ["data.intensityScope=dataset"],
        ].map { try ResolvedRecipe(settings: settings("eight", "x", $0)).recipe.digest }
        #expect(Set(recipes).count == recipes.count)
    }

    // MARK: Checkpoints of versions without the choice

    /// Removes what a version without the choice did not record.
    private func age(_ name: String) throws {
        let folder = place.path + "/runs/\(name)"
        try FileManager.default.removeItem(atPath: folder + "/adapter.safetensors")
        let names = try FileManager.default.contentsOfDirectory(atPath: folder + "/checkpoints")
        for step in names where step.hasPrefix("step-") {
            let path = "\(folder)/checkpoints/\(step)/manifest.json"
            var manifest = try CheckpointManifest(reading: Data(contentsOf: URL(fileURLWithPath: path)), at: path)
            manifest.settings.removeAll { $0.key.contains("intensity") }
            try manifest.sealed().write(to: URL(fileURLWithPath: path))
        }
    }

    @Test func aCheckpointWithoutTheChoiceGoesOnWithEightBits() throws {
        let whole = try run(settings("eight", "whole", ["training.steps=4"]))
        _ = try run(settings("eight", "old"))
        try age("old")
        #expect(try run(settings("eight", "old", ["training.steps=4"])).adapterDigest == whole.adapterDigest)
    }

    @Test(arguments: [["data.intensity=minmax"], ["data.intensity=percentile", "data.intensityScope=dataset"]])
    func aCheckpointWithoutTheChoiceRefusesScaledImages(more: [String]) throws {
        _ = try run(settings("eight", "old"))
        try age("old")
        let error = #expect(throws: CheckpointError.self) {
            try run(settings("eight", "old", ["training.steps=4"] + more))
        }
        #expect(error?.reason.contains("data.intensity was full, is ") == true)
    }

    @Test func aCheckpointWithoutTheChoiceGoesOnWithTheHighByte() throws {
        let full = ["data.intensity=full"]
        let whole = try run(settings("counts", "whole", ["training.steps=4"] + full))
        _ = try run(settings("counts", "old", full))
        try age("old")
        let error = #expect(throws: CheckpointError.self) { try run(settings("counts", "old", ["training.steps=4"])) }
        #expect(error?.reason.contains("data.intensity was full, is auto") == true)
        #expect(try run(settings("counts", "old", ["training.steps=4"] + full)).adapterDigest == whole.adapterDigest)
    }
}
