import DatasetTestSupport
import Datasets
import Foundation
import Glibc
import Imaging
import TestSupport
import Testing

/// Files that change after a run has begun.
@Suite struct SeenFilesTests {
    private let folder: TemporaryFolder

    init() throws {
        folder = try TemporaryFolder()
        for index in 0..<3 {
            try folder.addImage("\(index).png", value: UInt8(index + 1))
            try folder.addLabel("\(index).png", [0: 1])
        }
    }

    private func url(_ file: String) -> URL { URL(fileURLWithPath: folder.path + "/" + file) }

    /// A data set whose files were noted, as a run does at its start.
    private func watched(_ dataset: any SegmentationDataset) throws -> any SegmentationDataset {
        let seen = try #require(dataset.seenFiles)
        seen.begin()
        for index in 0..<dataset.count {
            _ = dataset.fingerprint(index)
            _ = try? dataset.instanceCount(index)
        }
        seen.compare()
        // A clock of files has steps of a few milliseconds.
        usleep(20_000)
        return dataset
    }

    private func isChanged(_ dataset: any SegmentationDataset, _ index: Int) -> Bool {
        do { _ = try dataset.sample(index) } catch let error as DatasetError {
            #expect(error.concernsOneImage)
            return error.code == .changedFile
        } catch {
            Issue.record(error)
        }
        return false
    }

    /// The same size, the same name, other pixels.
    @Test(arguments: ["images/1.png", "labels/1.png"])
    func anotherFileOfTheSameSizeIsNoticed(file: String) throws {
        let dataset = try watched(folder.open())
        var bytes = try Data(contentsOf: url(file))
        bytes[bytes.count / 2] ^= 0x55
        try bytes.write(to: url(file))
        #expect(isChanged(dataset, 1) && !isChanged(dataset, 0) && !isChanged(dataset, 2))
        // Not only once.
        #expect(isChanged(dataset, 1))
    }

    @Test func anotherImageOfAnotherLengthIsNoticed() throws {
        let dataset = try watched(folder.open())
        try folder.addImage("2.png", value: 200)
        try (Data(contentsOf: url("images/2.png")) + [0]).write(to: url("images/2.png"))
        let error = #expect(throws: DatasetError.self) { try dataset.sample(2) }
        #expect(error?.code == .changedFile && error?.location == folder.path + "/images/2.png")
        #expect(error?.description.contains("images/2.png: was changed since the run began; put the file") == true)
    }

    @Test func aDamagedReplacementIsAChange() throws {
        let dataset = try watched(folder.open())
        try Data((try Data(contentsOf: url("images/0.png"))).dropLast(20)).write(to: url("images/0.png"))
        #expect(isChanged(dataset, 0))
        try Data("no image".utf8).write(to: url("images/1.png"))
        #expect(isChanged(dataset, 1))
    }

    /// A touch, a copy of the same bytes, another link: the bytes are the same, and so is the run.
    @Test func theSameBytesAreNoChange() throws {
        let dataset = try watched(folder.open())
        let bytes = try Data(contentsOf: url("images/0.png"))
        try bytes.write(to: url("images/0.png"), options: .atomic)
        try FileManager.default.setAttributes([.modificationDate: Date()], ofItemAtPath: url("images/1.png").path)
        try FileManager.default.linkItem(at: url("labels/2.png"), to: url("labels/other-name.txt"))
        for _ in 0..<2 {
            for index in 0..<3 { #expect(!isChanged(dataset, index)) }
        }
    }

    /// The modification time can be set back; the time of the entry cannot.
    @Test func aTimeThatIsSetBackDoesNotHideAChange() throws {
        let path = url("images/1.png").path
        let dataset = try watched(folder.open())
        let time = try FileManager.default.attributesOfItem(atPath: path)[.modificationDate]
        var bytes = try Data(contentsOf: url("images/1.png"))
        bytes[bytes.count - 5] ^= 1
        try bytes.write(to: url("images/1.png"))
        try FileManager.default.setAttributes([.modificationDate: time as Any], ofItemAtPath: path)
        #expect(isChanged(dataset, 1))
    }

    @Test func withoutARunNothingIsCompared() throws {
        let dataset = try folder.open()
        _ = try dataset.sample(1)
        usleep(20_000)
        try folder.addImage("1.png", value: 99)
        #expect(try dataset.sample(1).image.pixels[0] == 99)
    }

    /// A rank that has not read a file compares it with what another rank has read.
    @Test func ranksShareWhatTheyHaveRead() throws {
        let (one, other) = (try folder.open(), try folder.open())
        for dataset in [one, other] {
            dataset.seenFiles?.begin()
            for index in 0..<3 { _ = dataset.fingerprint(index) }
        }
        for index in 0..<3 { _ = try one.instanceCount(index) }
        other.seenFiles?.merge(try #require(one.seenFiles?.record))
        for dataset in [one, other] { dataset.seenFiles?.compare() }
        usleep(20_000)
        try FileManager.default.setAttributes([.modificationDate: Date()], ofItemAtPath: url("images/0.png").path)
        var bytes = try Data(contentsOf: url("images/1.png"))
        bytes[bytes.count / 2] ^= 2
        try bytes.write(to: url("images/1.png"))
        for dataset in [one, other] {
            #expect(!isChanged(dataset, 0) && isChanged(dataset, 1) && !isChanged(dataset, 2))
        }
    }

    @Test func recordsOfAnotherLengthAreRead() throws {
        let dataset = try watched(folder.open())
        let record = try #require(dataset.seenFiles?.record)
        for length in [0, 3, record.count - 1] { dataset.seenFiles?.merge(Array(record.prefix(length))) }
        #expect(!isChanged(dataset, 0))
    }

    /// Images that annotations name, and annotations that are read again for each image.
    @Test func annotationsThatAreReadAgainAreCompared() throws {
        try folder.addText(
            "0.json",
            #"{"imagePath": "images/0.png", "shapes": [{"label": "a", "shape_type": "point", "points": [[1, 1]]}]}"#)
        let dataset = try watched(folder.open("labelme"))
        #expect(!isChanged(dataset, 0))
        try folder.addText(
            "0.json",
            #"{"imagePath": "images/0.png", "shapes": [{"label": "a", "shape_type": "point", "points": [[2, 1]]}]}"#)
        let error = #expect(throws: DatasetError.self) { try dataset.sample(0) }
        #expect(error?.description.contains("was changed since the run began") == true)
        #expect(error?.concernsOneImage == true)
    }

    /// A file of annotations that stays open: other bytes are a fault, a touch is none.
    @Test(arguments: ["manifest", "coco"])
    func anOpenAnnotationFileMayBeTouched(format: String) throws {
        let (name, text) =
            format == "manifest"
            ? ("manifest.jsonl", #"{"image": "images/0.png", "polygons": [[[0, 0, 3, 0, 3, 2]]]}"#)
            : (
                "annotations/instances_images.json",
                #"{"images": [{"id": 1, "file_name": "0.png", "width": 4, "height": 3}], "categories": [], "#
                    + #""annotations": [{"id": 1, "image_id": 1, "iscrowd": 0, "#
                    + #""bbox": [0, 0, 3, 2], "segmentation": [[0, 0, 3, 0, 3, 2]]}]}"#
            )
        try folder.addText(name, text)
        let dataset = try watched(folder.open(format))
        try FileManager.default.setAttributes([.modificationDate: Date()], ofItemAtPath: url(name).path)
        #expect(try dataset.sample(0).instanceCount == 1)
        // In place, of the same length.
        try Data(text.replacing("3, 2]]", with: "2, 2]]").utf8).write(to: url(name))
        let error = #expect(throws: DatasetError.self) { try dataset.sample(0) }
        #expect(error?.description.contains("it was changed while it was in use") == true)
    }

    @Test func imagesOfMoreThanEightBitsAreKnown() throws {
        let samples = [UInt8](repeating: 7, count: 2 * 12)
        try Data(ImageFile.encodePNG(samples: samples, width: 4, height: 3, channels: 1, bytesPerSample: 2))
            .write(to: url("images/2.png"))
        let dataset = try watched(folder.open())
        #expect(dataset.seenFiles?.deepImages == ["images/2.png"])
    }
}
