public import Imaging

/// The samples of another data set with exactly one mask each, as benchmarks that prompt and score one mask an image need them.
///
/// With the unit `instance` an image gives a sample for each mask of at least ten pixels, called `NAME#2` by the mask's number
/// if there are several; all label files are read to know them when the data set is opened. The published split and memory of
/// the other data set go over to its samples, and `imageNumber` keeps those of one image together.
public struct SingleMaskDataset: SegmentationDataset {
    /// A mask that gives no sample.
    public struct Speck: Sendable, Equatable {
        /// The name of the image.
        public let image: String
        /// The number of the mask in it, from 1.
        public let mask: Int
        /// Its pixels.
        public let pixels: Int
    }

    private struct Place {
        let image: Int
        /// The instance; nil for what the unit makes of all of them, and for an image whose labels cannot be read.
        var instance: Int?
        /// Whether other samples show the image too.
        var isOneOfSeveral = false
    }

    /// Masks with fewer pixels give no sample: rests of a compression, which would count as much as a defect.
    public static let leastPixels = 10

    /// The data set whose images the samples are made of.
    package let base: any SegmentationDataset
    private let unit: SampleUnit
    private let places: [Place]
    /// The samples of each image of the other data set.
    private let samples: [Range<Int>]
    /// Masks left out because they are too small, in order.
    public let specks: [Speck]
    /// Names of the images left out because no mask is left, in order.
    public let imagesWithoutMask: [String]

    /// Makes samples of one mask; reads all labels if there may be several of an image.
    ///
    /// Throws `DatasetError` if an image has no masks but other labels, or no mask is left at all.
    init(_ base: any SegmentationDataset, _ unit: SampleUnit) throws {
        precondition(unit == .instance || unit == .largest || unit == .whole, "the unit \(unit) is no single mask")
        (self.base, self.unit) = (base, unit)
        var (places, specks, without): ([Place], [Speck], [String]) = ([], [], [])
        for image in 0..<base.count {
            guard unit == .instance else {
                places.append(Place(image: image))
                continue
            }
            let masks: InstanceMasks
            do {
                guard let found = try base.masks(image) else { throw DatasetError.withoutMasks(base.id(image)) }
                masks = found
            } catch let error as DatasetError where error.concernsOneImage {
                // Read again, and thrown, when the sample is used.
                places.append(Place(image: image))
                continue
            }
            let areas = (0..<masks.count).map(masks.pixelCount)
            let used = areas.indices.filter { areas[$0] >= Self.leastPixels }
            specks += areas.indices.filter { areas[$0] < Self.leastPixels }.map {
                Speck(image: base.id(image), mask: $0 + 1, pixels: areas[$0])
            }
            if used.isEmpty { without.append(base.id(image)) }
            places += used.map { Place(image: image, instance: $0, isOneOfSeveral: used.count > 1) }
        }
        (self.places, self.specks, imagesWithoutMask) = (places, specks, without)
        var (next, samples): (Int, [Range<Int>]) = (0, [])
        for image in 0..<base.count {
            let first = next
            while next < places.count, places[next].image == image { next += 1 }
            samples.append(first..<next)
        }
        self.samples = samples
        guard !places.isEmpty || base.count == 0 else {
            throw DatasetError(
                .emptyDataset, at: without.first ?? base.id(0),
                "neither this image nor another has a mask of \(Self.leastPixels) pixels or more",
                remedy: "see kedge data check, or set data.samples=image")
        }
    }

    /// The number of images that the samples are made of, with those that give none.
    public var imageCount: Int { base.count }

    public var count: Int { places.count }

    public func id(_ index: Int) -> String {
        let place = places[index]
        guard place.isOneOfSeveral, let instance = place.instance else { return base.id(place.image) }
        return "\(base.id(place.image))#\(instance + 1)"
    }

    public func imageNumber(_ index: Int) -> Int { base.imageNumber(places[index].image) }

    public func sample(_ index: Int) throws -> Sample {
        let sample = try base.sample(places[index].image)
        guard let masks = sample.instances else { throw DatasetError.withoutMasks(sample.id) }
        var single = sample.selecting(try chosen(index, masks))
        if unit == .whole, masks.count > 1 {
            single = Sample(id: sample.id, image: sample.image, instances: masks.joined)
            single.orientation = sample.orientation
        }
        single.id = id(index)
        return single
    }

    public func masks(_ index: Int) throws -> InstanceMasks? {
        guard let masks = try base.masks(places[index].image) else { return nil }
        return unit == .whole ? masks.joined : masks.selecting(try chosen(index, masks))
    }

    /// The instances of an image that are the sample's: one, or none if there is none.
    private func chosen(_ index: Int, _ masks: InstanceMasks) throws(DatasetError) -> [Int] {
        if unit == .instance {
            // An image that could not be read at first may have several masks by now, another fewer.
            guard let instance = places[index].instance, instance < masks.count else {
                throw DatasetError(
                    .changedFile, at: id(index), "has other masks than when the data set was opened",
                    remedy: "put the label back as it was, or start again")
            }
            return [instance]
        }
        let areas = (0..<masks.count).map(masks.pixelCount)
        // The first of the largest.
        return areas.indices.max { (areas[$0], -$0) < (areas[$1], -$1) }.map { [$0] } ?? []
    }

    public func image(_ index: Int) throws -> Image { try base.image(places[index].image) }

    /// The survey of the image, with one instance.
    public func survey(_ index: Int) throws -> ImageSurvey {
        var survey = try base.survey(places[index].image)
        guard survey.kinds.contains(.masks) else { throw DatasetError.withoutMasks(id(index)) }
        survey.instances = min(survey.instances, 1)
        // Annotated boxes are those of all instances, and said of the image.
        (survey.boxesWithMask, survey.misfits) = (0, 0)
        return survey
    }

    public func faults(_ index: Int) throws -> [DatasetError] { try base.faults(places[index].image) }

    /// The sample's name and what distinguishes its image.
    public func fingerprint(_ index: Int) -> String {
        let (own, whole) = (base.id(places[index].image), base.fingerprint(places[index].image))
        return id(index) + (whole.hasPrefix(own) ? String(whole.dropFirst(own.count)) : " " + whole)
    }

    public func files(_ index: Int) -> [String] { base.files(places[index].image) }

    public var unusedImages: UnusedImages? { base.unusedImages }

    public func histogram(_ index: Int) throws -> SampleHistogram? { try base.histogram(places[index].image) }

    public var seenFiles: SeenFiles? { base.seenFiles }

    public var publishedSplit: (training: [Int], evaluation: [Int])? {
        base.publishedSplit.map { split in
            (split.training.flatMap { samples[$0] }, split.evaluation.flatMap { samples[$0] })
        }
    }

    public var publishedMemory: [Int]? { base.publishedMemory.map { $0.flatMap { samples[$0] } } }
}

extension Sample {
    /// The sample with some of its instances, in the given order.
    func selecting(_ chosen: [Int]) -> Sample {
        var sample = Sample(
            id: id, image: image, instances: instances?.selecting(chosen),
            boxes: boxes.map { all in chosen.map { all[$0] } },
            points: points.map { all in chosen.map { all[$0] } },
            polygons: polygons.map { all in chosen.map { all[$0] } })
        (sample.values, sample.orientation) = (values.map { all in chosen.map { all[$0] } }, orientation)
        return sample
    }
}

extension InstanceMasks {
    /// The union of all masks as one; none if there is none.
    var joined: InstanceMasks {
        guard count > 1 else { return self }
        var union = [Bool](repeating: false, count: width * height)
        for instance in 0..<count {
            forEachRun(of: instance) { row, columns in
                for column in columns { union[row * width + column] = true }
            }
        }
        var masks = InstanceMasks(count: 0, width: width, height: height)
        masks.append(union)
        return masks
    }
}
