import Datasets
import Imaging
import Testing

/// Sources joined to one data set, the order of stages, and the composition of batches.
@Suite struct MixtureTests {
    private struct Named: SegmentationDataset {
        let names: [String]
        var count: Int { names.count }
        func id(_ index: Int) -> String { names[index] }
        func sample(_ index: Int) throws -> Sample {
            Sample(id: names[index], image: Image(width: 1, height: 1, channels: 3, filledWith: 0))
        }
    }

    private func part(_ source: String, _ domain: String, place: Int, count: Int, share: Int = 0) -> DataMixture.Part {
        DataMixture.Part(
            source: source, domain: domain, share: share, images: Named(names: (0..<count).map { "\(source)\($0)" }),
            ids: (0..<count).map { ImageID(source: place, index: 2 * $0) })
    }

    @Test func imagesKeepTheirPlacesAndNames() throws {
        let mixture = DataMixture([
            part("a", "x", place: 0, count: 2), part("b", "y", place: 1, count: 0), part("c", "x", place: 2, count: 3),
        ])
        #expect(mixture.count == 5 && mixture.domains == ["x", "y"])
        #expect((0..<5).map(mixture.id) == ["a/a0", "a/a1", "c/c0", "c/c1", "c/c2"])
        #expect(mixture.ids[3] == ImageID(source: 2, index: 2))
        #expect(try mixture.sample(4).id == "c2")
        #expect(mixture.pools(of: ["x"]).map(\.images) == [0..<2, 2..<5])
        #expect(mixture.pools(of: ["y"]).isEmpty)
        #expect(DataMixture([part("a", "x", place: 0, count: 2)]).id(1) == "a1")
    }

    @Test func numbersOfImagesAreThoseOfTheFirstSourceAlone() {
        #expect(ImageID(source: 0, index: 7).number == 7)
        let image = ImageID(source: 3, index: 12)
        #expect(ImageID(number: image.number) == image && image > ImageID(source: 2, index: 99))
    }

    @Test func sharesDivideEveryBatch() {
        let pools = [ShardedSampler.Pool(images: 0..<5, share: 2), ShardedSampler.Pool(images: 5..<8, share: 1)]
        let sampler = ShardedSampler(pools, globalBatch: 4, seed: 3)
        // 4 * 2 / 3 = 2 and 4 / 3 = 1, the last place to the larger remainder.
        #expect(sampler.slots == [3, 1])
        #expect(sampler.stepsPerEpoch == 3)
        let order = sampler.order(epoch: 0)
        #expect(order.count == 12)
        for step in 0..<3 {
            let batch = sampler.batch(epoch: 0, step: step)
            #expect(batch.prefix(3).allSatisfy { $0 < 5 } && batch[3] >= 5)
        }
        // The smaller pool is seen once before any of it returns; the larger starts over.
        let small = [order[3], order[7], order[11]]
        #expect(small.sorted() == [5, 6, 7])
        let large = Array(order[0..<3]) + Array(order[4..<7]) + Array(order[8..<11])
        #expect(Set(large.prefix(5)).count == 5)
        #expect(sampler.order(epoch: 1) != order)
    }

    @Test func imagesOfPoolsWithoutSharesAreOnePermutation() {
        let whole = ShardedSampler(sampleCount: 8, globalBatch: 3, seed: 3)
        let parts = ShardedSampler([.init(images: 0..<5), .init(images: 5..<8)], globalBatch: 3, seed: 3)
        #expect(whole.order(epoch: 2) == parts.order(epoch: 2) && parts.slots == nil)
    }

    @Test func stagesFollowOneAnotherAndMayEndWithinAnEpoch() {
        let first = ShardedSampler([.init(images: 0..<5)], globalBatch: 2, seed: 1)
        let second = ShardedSampler([.init(images: 5..<8)], globalBatch: 2, seed: 1)
        let schedule = SamplingSchedule([.init(first, steps: 4), .init(second, steps: 3)], globalBatch: 2)
        #expect(schedule.totalSteps == 7 && schedule.stageEnds == [4, 7])
        let places = (0..<7).compactMap(schedule.place)
        #expect(places.map(\.stage) == [0, 0, 0, 0, 1, 1, 1])
        #expect(places.map(\.epoch) == [0, 0, 0, 1, 2, 2, 3])
        #expect(places.map(\.step) == [0, 1, 2, 0, 0, 1, 0])
        #expect(places.map(\.batchSize) == [2, 2, 1, 2, 2, 1, 2])
        #expect(places.map(\.endsEpoch) == [false, false, true, true, false, true, true])
        #expect(schedule.place(of: 7) == nil)
        let all = Array(schedule.requests(rank: 0, nodeOfRank: [0]))
        #expect(all.map(\.runStep) == [0, 0, 1, 1, 2, 3, 3, 4, 4, 5, 6, 6])
        #expect(all.prefix(5).map(\.sampleIndex).sorted() == [0, 1, 2, 3, 4])
        #expect(all[7..<10].map(\.sampleIndex).sorted() == [5, 6, 7])
        for step in 0...7 {
            let rest = all.filter { $0.runStep >= step }
            let own = Array(schedule.requests(rank: 0, nodeOfRank: [0], from: step))
            #expect(own == rest)
            // What two ranks are dealt is what one is.
            var dealt: [SampleRequest] = []
            for rank in 0..<2 { dealt += Array(schedule.requests(rank: rank, nodeOfRank: [0, 0], from: step)) }
            #expect(Set(dealt) == Set(rest))
        }
    }
}
