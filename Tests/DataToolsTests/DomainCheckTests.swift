import Datasets
import DatasetTestSupport
import DataTools
import Foundation
import Testing
import TestSupport

/// Checks of data sets with one mask a sample, and the manifests made of them.
@Suite struct DomainCheckTests {
    private func products() throws -> TemporaryFolder {
        let folder = try TemporaryFolder()
        let rows = [
            "####....", "####..##", "####..##", ".......#", "......##", "......##", "......##", "#.......",
        ]
        for number in 0..<10 {
            try folder.draw("bottle/test/crack/00\(number).png", width: 8, height: 8 + number)
            let empty = [String](repeating: "........", count: number)
            try folder.draw(
                "bottle/ground_truth/crack/00\(number)_mask.png",
                number == 3 ? [String](repeating: "........", count: 11) : rows + empty)
        }
        return folder
    }

    private func check(
        _ format: String, _ options: DatasetOptions, describing: Bool = false
    ) throws -> (findings: DatasetFindings, manifest: ManifestDescription?) {
        var check = DatasetCheck(format: format, options, describesDomain: describing)
        return (try check.run().findings, check.manifest)
    }

    @Test func whatGivesNoSampleIsCounted() throws {
        let folder = try products()
        let (findings, manifest) = try check("mvtec-ad", folder.options())
        #expect(findings.isUsable && findings.images == 18 && findings.usableImages == 18 && manifest == nil)
        #expect(findings.count(.speck) == 9 && findings.count(.imageWithoutMask) == 1)
        #expect(findings.problems(.speck).first == "bottle/crack/000: mask 3 has 1 pixel")
        #expect(findings.problems(.imageWithoutMask) == ["bottle/crack/003"])
        #expect(findings.count(.duplicateImage) == 0, "two samples of one image are no duplicates")
        let report = findings.report()
        #expect(
            report.contains("images        10, 1 without a mask\nsamples       18, 18 usable; 9 small masks left out\n")
        )
    }

    @Test func manifestsStateTheParts() throws {
        let folder = try products()
        let manifest = try #require(try check("mvtec-ad", folder.options(), describing: true).manifest)
        #expect(manifest.train.count + manifest.test.count == 18 && manifest.memory.count == 10)
        #expect([2, 4].contains(manifest.test.count), "two of ten images, of which one gives no sample")
        #expect(Set(manifest.memory).isSubset(of: manifest.train))
        #expect(Set(manifest.train + manifest.test) == Set(manifest.samples.map(\.name)))
        #expect(Set(manifest.samples.map(\.sha256)).count == 18)
        #expect(manifest.samples[1].name == "bottle/crack/000#2")
        #expect(manifest.samples[1].image == "bottle/test/crack/000.png")
        #expect(manifest.provenance.split == "of the format" && manifest.provenance.memory == "drawn with seed 0")
        #expect(manifest.provenance.samples == "instance" && manifest.provenance.format == "mvtec-ad")
        let again = try #require(try check("mvtec-ad", folder.options(), describing: true).manifest)
        #expect(try again.json() == manifest.json())
    }

    /// A manifest written of a domain is one that the domain can be read with, and notices a changed file.
    @Test func manifestsNoticeChanges() throws {
        let folder = try TemporaryFolder()
        for name in ["a", "b", "c"] {
            try folder.draw("images/\(name).png", width: 6, height: 4)
            try folder.draw("masks/\(name).png", ["####..", "####..", "####..", "......"])
        }
        try folder.addText("manifest.json", #"{"domain": "x", "train": ["b", "a"], "test": ["c"], "memory": ["a"]}"#)
        let (findings, manifest) = try check("cosam", folder.options(), describing: true)
        let written = try #require(manifest)
        #expect(findings.isUsable && written.domain == "x" && written.train == ["b", "a"] && written.memory == ["a"])
        #expect(written.provenance.memory == "listed by the data set")
        try written.write(to: folder.path + "/manifest.json")
        #expect(try check("cosam", folder.options()).findings.isUsable)
        let repeated = try #require(try check("cosam", folder.options(), describing: true).manifest)
        #expect(repeated == written)
        try folder.draw("masks/c.png", ["####..", "####..", "###...", "......"])
        let changed = try check("cosam", folder.options()).findings
        #expect(changed.count(.changedSample) == 1 && !changed.isUsable)
        #expect(changed.problems(.changedSample)[0].hasPrefix("c: SHA-256 "))
        try folder.draw("images/d.png", width: 6, height: 4)
        #expect(try check("cosam", folder.options()).findings.count(.unlistedImage) == 1)
        #expect(errorCode { try written.write(to: folder.path + "/none/m.json") } == .writeFailed)
    }

    @Test func spindlesWithoutLabels() throws {
        let folder = try TemporaryFolder()
        for name in ["a", "b", "c"] { try folder.draw("data/\(name).jpg", width: 10, height: 8) }
        let shape = #"{"label": "x", "shape_type": "polygon", "points": [[0, 0], [5, 0], [5, 4], [0, 4]]}"#
        try folder.addText("label/b.json", #"{"imagePath": "b.jpg", "shapes": [\#(shape)]}"#)
        let findings = try check("bsdata", folder.options()).findings
        #expect(findings.isUsable && findings.images == 1)
        #expect(findings.problems(.unlistedImage).map { $0.suffix(10) } == ["data/a.jpg", "data/c.jpg"])
        try folder.addText("label/c.json", #"{"imagePath": "c.jpg", "shapes": [{"shape_type": "polygon"}]}"#)
        try folder.addText("image_data.json", "{")
        let faulty = try check("bsdata", folder.options()).findings
        #expect(!faulty.isUsable && faulty.count(.annotation) == 2)
    }
}
