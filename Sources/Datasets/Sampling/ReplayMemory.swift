import Tensors

/// The few training images of a domain that a continual method keeps for later stages.
public enum ReplayMemory {
    /// Images of a domain that CoSAM keeps.
    public static let standardSize = 10

    /// Chooses the memory of a domain: the data set's own list if it has one, cut to the size; otherwise a seeded choice from
    /// the samples in the order of their names, each of another image as long as there are such.
    ///
    /// The released code takes the first ten of an unsorted folder. The choice depends on nothing but names and seed.
    ///
    /// - Parameter training: The training samples of the domain alone.
    /// - Returns: Indices in the data set, in the order of the names.
    public static func choose(
        from training: any SegmentationDataset, size: Int = standardSize, seed: UInt64
    ) -> [Int] {
        func byName(_ indices: some Sequence<Int>) -> [Int] {
            indices.map { (id: training.id($0), index: $0) }
                .sorted { $0.id.unicodeScalars.lexicographicallyPrecedes($1.id.unicodeScalars) }.map(\.index)
        }
        if let published = training.publishedMemory { return Array(byName(published).prefix(max(size, 0))) }
        let sorted = byName(0..<training.count)
        var generator = SeededGenerator(seed: seed, purpose: "replay memory")
        let order = generator.permutation(sorted.count).map { sorted[$0] }
        var images = Set<Int>()
        let first = order.filter { images.insert(training.imageNumber($0)).inserted }
        let chosen = Set(first)
        let further = order.filter { !chosen.contains($0) }
        return byName((first + further).prefix(max(size, 0)))
    }
}

extension DataMixture {
    /// The memory of one domain: places of its images in the mixture, chosen as `ReplayMemory` does.
    public func memory(of domain: String, size: Int = ReplayMemory.standardSize, seed: UInt64) -> [Int] {
        let places = zip(parts, ranges).filter { $0.0.domain == domain }.flatMap { Array($0.1) }
        return ReplayMemory.choose(from: DatasetSubset(self, indices: places), size: size, seed: seed)
            .map { places[$0] }
    }
}
