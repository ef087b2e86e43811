import Datasets

// Findings about the data set as a whole, after its images were read.
extension DatasetCheck {
    mutating func noteWhole(_ dataset: any SegmentationDataset) {
        for line in dataset.unusedImages?.lines ?? [] { findings.add(.unusedImage, line.text, count: line.count) }
        if let line = values.finding(format: format) { findings.add(.labelValues, line) }
        noteExpansion(dataset)
        noteCrowds(dataset)
        noteEmptiness(dataset)
    }

    /// What gave no sample where samples have one mask each.
    private mutating func noteExpansion(_ dataset: any SegmentationDataset) {
        guard let single = dataset as? SingleMaskDataset else { return }
        findings.imagesOfSamples = single.imageCount
        for speck in single.specks {
            findings.add(
                .speck, "\(speck.image): mask \(speck.mask) has \(speck.pixels) pixel" + (speck.pixels == 1 ? "" : "s"))
        }
        for image in single.imagesWithoutMask { findings.add(.imageWithoutMask, image) }
    }

    private mutating func noteCrowds(_ dataset: any SegmentationDataset) {
        guard let coco = Self.images(of: dataset) as? COCODataset else { return }
        let (leftOut, taken) = coco.marked
        if leftOut > 0 {
            findings.add(
                .crowd, "\(coco.path): \(leftOut) left out; data.crowds=take reads them as instances", count: leftOut)
        }
        if taken > 0 {
            findings.add(
                .crowd,
                "\(coco.path): \(taken) read as instances, since every run-length mask of the file is marked so, as CVAT "
                    + "marks painted masks; data.crowds=skip leaves them out", count: taken)
        }
    }

    /// Labels of which nothing is left are an error of the data set, unless none were expected.
    private mutating func noteEmptiness(_ dataset: any SegmentationDataset) {
        guard prompts != .automatic, format != "images", hasLabels, findings.imagesLeftOut == 0,
            findings.instances.allSatisfy({ $0 == 0 })
        else { return }
        var survey = LabelSurvey()
        for index in 0..<dataset.count { (try? dataset.survey(index)).map { survey.add($0) } }
        let (problem, remedy) = survey.reasonWithoutInstances(format: format, options)
        findings.add(.noInstance, "no instance is left: \(problem); \(remedy)")
    }
}
