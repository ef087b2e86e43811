import Datasets
import DatasetTestSupport
import Foundation
import Imaging
import Testing
import TestSupport

/// The plain form of a domain, and the memory of continual methods.
@Suite struct DomainManifestTests {
    private func folder(_ manifest: String, names: [String] = ["a", "b", "c", "d"]) throws -> TemporaryFolder {
        let folder = try TemporaryFolder()
        for name in names {
            try folder.draw("images/\(name).\(name == "c" ? "png" : "jpg")")
            // 128 is background, 129 foreground.
            try folder.draw(
                "masks/\(name).png", ["82..", ".33.", "...."].map { $0.replacing("8", with: "w") }, scale: 43)
        }
        try folder.addText("manifest.json", manifest)
        return folder
    }

    @Test func listsGiveOrderPartsAndMemory() throws {
        let folder = try folder(
            #"{"domain": "rails", "train": ["d", "a", "b"], "test": ["c"], "memory": ["b", "d"], "fg": {"min": 0.1}}"#)
        let dataset = try folder.open("cosam")
        let read = try ReadDataset(dataset)
        #expect(read.ids == ["d", "a", "b", "c"])
        #expect(read.masks.allSatisfy { $0 == [["#...", ".##.", "...."]] }, "86 is background, 129 is not")
        #expect(try #require(dataset.publishedSplit) == ([0, 1, 2], [3]))
        #expect(dataset.publishedMemory == [0, 2] && dataset.files(3) == ["images/c.png", "masks/c.png"])
        #expect(try ReadDataset(folder.open("cosam", binarise: 85)).masks[0][0][0] == "##..")
        let subset = DatasetSubset(dataset, indices: [1, 2])
        #expect(subset.publishedMemory == [1])
        #expect(ReplayMemory.choose(from: DatasetSubset(dataset, indices: [0, 1, 2]), seed: 7) == [2, 0])
    }

    @Test func filesThatAreNotThere() throws {
        let folder = try folder(#"{"train": ["a", "gone"], "test": ["b"]}"#)
        try FileManager.default.removeItem(atPath: folder.path + "/masks/b.png")
        let dataset = try folder.open("cosam")
        #expect(errorCode { _ = try dataset.sample(1) } == .unreadableFile)
        #expect(errorCode { _ = try dataset.sample(2) } == .missingLabel)
        #expect(errorCode { _ = try dataset.masks(2) } == .missingLabel)
        #expect(dataset.publishedMemory == nil)
        try FileManager.default.removeItem(atPath: folder.path + "/manifest.json")
        #expect(errorCode { _ = try folder.open("cosam") } == .unreadableFile)
    }

    @Test(arguments: [
        (#"{"train": ["a"]}"#, "missingKey: 'test' is missing"),
        (#"{"train": ["a"], "test": ["b"], "memory": ["b"]}"#, "badValue: \"b\" is in 'memory' but not in 'train'"),
        (#"{"train": ["a", "a"], "test": ["b"]}"#, "duplicateImage: \"a\" is twice in 'train'"),
        (#"{"train": ["a"], "test": ["a"]}"#, "duplicateImage: \"a\" is in 'train' and in 'test'"),
        (#"{"train": ["a"], "test": ["b"], "memory": ["a", "a"]}"#, "twice in 'memory'"),
        (#"{"train": "a", "test": ["b"]}"#, "wrongType: 'train' is not a list"),
        (#"{"train": ["a", 3], "test": ["b"]}"#, "wrongType: 'train' holds something else"),
        (#"{"train": ["../a"], "test": ["b"]}"#, "is not a file name"),
        (#"{"train": [], "test": []}"#, "name no image"), (#"[]"#, "the manifest is not an object"),
        (#"{"train": ["a"], "test": ["b"]"#, "truncated"),
        (#"{"train": ["a"], "test": ["b"], "samples": [{"sha256": "0"}]}"#, "a sample without 'name'"),
    ])
    func faultyManifests(text: String, fault: String) throws {
        let folder = try folder(text)
        let error = #expect(throws: DatasetError.self) { try folder.open("cosam") }
        #expect(error?.description.contains(fault) == true, "\(error as Any)")
        #expect(error?.location.contains("manifest.json") == true)
        let report = try #require(try AnnotationCheck.run(format: "cosam", folder.options()))
        #expect(report.errors >= 1 && report.faults.contains { $0.description.contains(fault) })
    }

    /// A data set of names, two samples of each image.
    private struct Listed: SegmentationDataset {
        let names: [String]
        var count: Int { names.count }
        func id(_ index: Int) -> String { names[index] }
        func imageNumber(_ index: Int) -> Int { index / 2 }
        func sample(_ index: Int) throws -> Sample {
            Sample(id: id(index), image: .init(width: 1, height: 1, channels: 3))
        }
    }

    @Test func drawnMemory() {
        let names = (0..<40).map { String(format: "n%02d", $0) }
        let dataset = Listed(names: names)
        let chosen = ReplayMemory.choose(from: dataset, seed: 1)
        #expect(chosen.count == 10 && chosen == chosen.sorted() && Set(chosen.map { $0 / 2 }).count == 10)
        #expect(chosen == ReplayMemory.choose(from: dataset, seed: 1))
        #expect(chosen != ReplayMemory.choose(from: dataset, seed: 2))
        #expect(chosen != Array(0..<10), "not the first of the list")
        #expect(ReplayMemory.choose(from: dataset, size: 25, seed: 1).count == 25, "then others of the same images")
        #expect(ReplayMemory.choose(from: dataset, size: 100, seed: 1) == Array(0..<40))
        // The choice is one of names: another order of the data set has the same memory.
        let reversed = Listed(names: names.reversed())
        let same = ReplayMemory.choose(from: reversed, size: 40, seed: 1).map(reversed.id)
        #expect(same == names)
    }

    @Test func memoryOfADomainInAMixture() {
        let (first, second) = (Listed(names: ["a", "b", "c", "d"]), Listed(names: ["x", "y", "z", "w"]))
        func part(_ source: String, _ domain: String, _ images: Listed, _ place: Int) -> DataMixture.Part {
            .init(
                source: source, domain: domain, images: images,
                ids: (0..<4).map { ImageID(source: place, index: $0) })
        }
        let mixture = DataMixture([part("s", "one", first, 0), part("t", "two", second, 1)])
        #expect(mixture.memory(of: "two", seed: 0) == [7, 4, 5, 6], "in the order of the names")
        #expect(Set(mixture.memory(of: "one", size: 2, seed: 0).map { $0 / 2 }) == [0, 1])
        #expect(mixture.memory(of: "three", seed: 0).isEmpty)
        #expect(Set((0..<8).map(mixture.imageNumber)).count == 4)
    }
}
