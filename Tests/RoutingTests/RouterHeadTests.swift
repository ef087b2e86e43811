import Glibc
import Routing
import Tensors
import Testing
import TestSupport

/// Queries of some domains for tests.
enum TestQueries {
    /// Images of a domain around its own centre. // n x [D]
    static func domain(_ domain: Int, count: Int, width: Int = 6, spread: Float = 0.3) -> [[Float]] {
        let centre = TestValues.uniform(width, "centre \(domain)")
        return (0..<count).map { image in
            zip(centre, TestValues.uniform(width, "image \(domain) \(image)")).map { $0 + spread * $1 }
        }
    }

    /// The images of all domains in order, and their labels.
    static func memory(domains: Int, each count: Int) -> (features: [[Float]], labels: [Int]) {
        (
            (0..<domains).flatMap { domain($0, count: count) },
            (0..<domains).flatMap { Array(repeating: $0, count: count) }
        )
    }
}

@Suite struct RouterHeadTests {
    @Test func ofEqualScoresTheSmallerIndexWins() {
        #expect(RouterHead.best([1, 3, 3, 2]) == 1)
        #expect(RouterHead.best([2, 2, 2]) == 0)
        #expect(RouterHead.best([-2, -3, -1]) == 2)
        let row: [Float] = [0.5, -1]
        let head = RouterHead(weight: Tensor([0, 0] + row + row, [3, 2]), bias: Tensor([0, 1, 1], [3]))
        let logits = head.logits([1, -1])
        #expect(logits == [0, 2.5, 2.5] && RouterHead.best(logits) == 1)
    }

    @Test func softmaxOfLargeLogits() {
        #expect(RouterHead.softmax([1000, 1000]) == [0.5, 0.5])
        let scores = RouterHead.softmax([800, -800, 790])
        #expect(abs(scores.reduce(0, +) - 1) < 1e-15 && scores[1] == 0 && scores[0] > scores[2])
    }

    @Test func gradientMeetsDifferences() {
        let (features, labels) = TestQueries.memory(domains: 3, each: 2)
        let head = RouterHead(width: 6, domains: 3, seed: 4)
        func loss(_ values: [Double]) -> [Double] {
            var sum = 0.0
            for (feature, label) in zip(features, labels) {
                var logits = Array(values[18...])
                for domain in 0..<3 {
                    for i in 0..<6 { logits[domain] += values[domain * 6 + i] * Double(feature[i]) }
                }
                sum -= log(RouterHead.softmax(logits)[label])
            }
            return [sum / 6]
        }
        let (value, gradient) = head.meanLoss(features, labels: labels)
        let point = head.values.map(Double.init)
        #expect(abs(value - loss(point)[0]) < 1e-12)
        let outcome = GradientCheck.check(point, function: loss, dOutput: [1], analytic: gradient, tolerance: 1e-6)
        #expect(outcome.passed, "\(outcome)")
    }

    /// Steps of a stage: 10 floor(10 (t + 1) / 4), 50 at t = 1 and 200 at t = 7; the rest of an epoch is left out.
    @Test func batchesOfAnEpoch() {
        let training = RouterTraining.published(seed: 3)
        #expect(training.batches(of: 20).count == 50 && training.batches(of: 80).count == 200)
        let batches = training.batches(of: 30)
        #expect(batches.count == 70)
        let epochs = (0..<10).map { Array(batches[$0 * 7..<($0 + 1) * 7].joined()) }
        for epoch in epochs { #expect(Set(epoch).count == 28 && epoch.allSatisfy((0..<30).contains)) }
        #expect(Set(epochs).count == 10, "every epoch has an order of its own")
        #expect(RouterTraining.published(seed: 4).batches(of: 30) != batches)
    }

    @Test func trainingSeparatesDomains() throws {
        let (features, labels) = TestQueries.memory(domains: 4, each: 10)
        let standardise = FeatureStandardisation(over: features)
        let training = RouterTraining.standardised(seed: 1)
        let (head, losses) = try training.trainHead(
            features.map(standardise.callAsFunction), labels: labels, domains: 4)
        #expect(losses.count == 1000 && (losses.last ?? 1) < 0.1 && losses[0] > 0.5)
        for domain in 0..<4 {
            for image in TestQueries.domain(domain, count: 30).dropFirst(10) {
                #expect(RouterHead.best(head.logits(standardise(image))) == domain)
            }
        }
        let again = try training.trainHead(features.map(standardise.callAsFunction), labels: labels, domains: 4).head
        #expect(again.values.map(\.bitPattern) == head.values.map(\.bitPattern))
        let other = try RouterTraining.standardised(seed: 2).trainHead(features, labels: labels, domains: 4).head
        #expect(other.values != head.values)
    }

    /// A head of 768 numbers per domain and its bias: T x 769.
    @Test func sizesAndStart() {
        let head = RouterHead(width: 768, domains: 8, seed: 0)
        #expect(head.values.count == 8 * 769)
        let bound = Float(1 / 768.0.squareRoot())
        #expect(head.values.allSatisfy { abs($0) <= bound } && head.values.contains { abs($0) > 0.9 * bound })
        #expect(head.bias.elements.contains { $0 != 0 })
    }

    @Test func memoryThatCannotTrain() {
        let training = RouterTraining.published()
        let (features, labels) = TestQueries.memory(domains: 2, each: 4)
        func fault(_ features: [[Float]], _ labels: [Int], domains: Int = 2) -> RoutingError? {
            #expect(throws: RoutingError.self) {
                _ = try training.trainHead(features, labels: labels, domains: domains)
            }
        }
        let few = fault(Array(features.prefix(3)), Array(labels.prefix(3)))
        #expect(
            few?.kind == .memory && few?.description.hasPrefix("3 memory images are fewer than a batch of 4") == true)
        let empty = fault(features, labels, domains: 3)
        #expect(empty?.kind == .memory && empty?.description.hasPrefix("domain 2 has no memory image") == true)
        var damaged = features
        damaged[5][2] = .nan
        #expect(fault(damaged, labels)?.kind == .notFinite)
        // One of them is in the wrong domain whatever the head is, by a gradient that Adam cannot square.
        (damaged[0][2], damaged[5][2]) = (1e30, 1e30)
        #expect(fault(damaged, labels)?.description.contains("not finite in step") == true)
    }
}
