public import Imaging
public import Interaction

/// Images of several sources as one data set: those of the first source, then those of the second, and so on.
///
/// With one source it is that source's images under their own names; with several an image is called SOURCE/NAME.
public struct DataMixture: SegmentationDataset {
    /// The images that one source contributes.
    public struct Part: Sendable {
        /// The source's name.
        public let source: String
        /// The domain its images belong to.
        public let domain: String
        /// Part of a batch that comes from this source, relative to the others'; 0 for as much as its images are of all.
        public let share: Int
        /// The kind of task of its masks.
        public let task: TaskKind
        /// The images, in order.
        public let images: any SegmentationDataset
        /// What the run calls them.
        public let ids: [ImageID]

        /// Describes a contribution.
        public init(
            source: String, domain: String, share: Int = 0, task: TaskKind = .none, images: any SegmentationDataset,
            ids: [ImageID]
        ) {
            precondition(images.count == ids.count, "\(images.count) images with \(ids.count) numbers")
            (self.source, self.domain, self.share, self.task) = (source, domain, share, task)
            (self.images, self.ids) = (images, ids)
        }
    }

    /// The contributions, in the order of the recipe.
    public let parts: [Part]
    /// The places of each part's images in the mixture.
    public let ranges: [Range<Int>]
    /// What the run calls the images, in order.
    public let ids: [ImageID]

    /// Joins contributions.
    public init(_ parts: [Part]) {
        self.parts = parts
        var start = 0
        ranges = parts.map { part in
            defer { start += part.images.count }
            return start..<start + part.images.count
        }
        ids = parts.flatMap(\.ids)
    }

    /// The domains, in the order of their first sources.
    public var domains: [String] { Self.inOrder(parts.map(\.domain)) }

    /// What a stage over some domains samples from; parts without images are left out.
    public func pools(of domains: [String]) -> [ShardedSampler.Pool] {
        zip(parts, ranges).filter { domains.contains($0.0.domain) && !$0.1.isEmpty }.map {
            ShardedSampler.Pool(images: $0.1, share: $0.0.share)
        }
    }

    /// Texts without their repetitions, in the order of their first occurrence.
    package static func inOrder(_ names: [String]) -> [String] {
        names.enumerated().filter { names.firstIndex(of: $0.element) == $0.offset }.map(\.element)
    }

    private func place(_ index: Int) -> (part: Part, index: Int) {
        let part = ranges.firstIndex { $0.contains(index) } ?? ranges.count - 1
        return (parts[part], index - ranges[part].lowerBound)
    }

    public var count: Int { ids.count }
    public func id(_ index: Int) -> String {
        let (part, own) = place(index)
        let name = part.images.id(own)
        return parts.count == 1 ? name : "\(part.source)/\(name)"
    }
    public func sample(_ index: Int) throws -> Sample {
        let (part, own) = place(index)
        var sample = try part.images.sample(own)
        sample.task = part.task
        return sample
    }
    public func image(_ index: Int) throws -> Image {
        let (part, own) = place(index)
        return try part.images.image(own)
    }
    public func masks(_ index: Int) throws -> InstanceMasks? {
        let (part, own) = place(index)
        return try part.images.masks(own)
    }
    /// Different for images of different parts, too.
    public func imageNumber(_ index: Int) -> Int {
        let part = ranges.firstIndex { $0.contains(index) } ?? ranges.count - 1
        return ImageID(source: part, index: parts[part].images.imageNumber(index - ranges[part].lowerBound)).number
    }
    /// That of all parts; nil if one has none of its own, so that its images would be left out.
    public var publishedMemory: [Int]? {
        let lists = parts.map(\.images.publishedMemory)
        guard !lists.contains(where: { $0 == nil }) else { return nil }
        return zip(lists, ranges).flatMap { list, range in (list ?? []).map { $0 + range.lowerBound } }
    }
    public func survey(_ index: Int) throws -> ImageSurvey {
        let (part, own) = place(index)
        return try part.images.survey(own)
    }
    public func fingerprint(_ index: Int) -> String {
        let (part, own) = place(index)
        return part.images.fingerprint(own)
    }
}
