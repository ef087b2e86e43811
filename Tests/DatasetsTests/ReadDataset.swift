import Datasets
import Testing

/// Names, counts and masks of a data set, after the checks that every one passes: counts without decoding agree with
/// samples, and fingerprints begin with names.
struct ReadDataset {
    let ids: [String]
    let samples: [Sample]
    /// For every image the masks of its instances in rows of `.` and `#`.
    let masks: [[[String]]]

    init(_ dataset: any SegmentationDataset) throws {
        let all = Array(0..<dataset.count)
        ids = all.map(dataset.id)
        samples = try all.map(dataset.sample)
        #expect(try all.map(dataset.instanceCount) == samples.map(\.instanceCount))
        #expect(samples.map(\.id) == ids && Set(ids).count == ids.count)
        for index in all { #expect(dataset.fingerprint(index).hasPrefix(ids[index] + " ")) }
        masks = samples.map { sample in
            guard let masks = sample.instances else { return [] }
            return (0..<masks.count).map { instance in
                (0..<masks.height).map { y in
                    String((0..<masks.width).map { masks[instance, x: $0, y: y] ? "#" : "." })
                }
            }
        }
    }
}
