import Routing
import Tensors
import Testing
import TestSupport

@Suite struct RejectionRuleTests {
    /// The definition with the whole covariance and its inverse by elimination, for few channels. // [D]
    private func reference(_ memory: RouterMemory, _ query: [Float]) -> Double {
        let scale = FeatureStandardisation(over: memory.features)
        let rows = memory.features.map { scale($0).map(Double.init) }
        let (count, width) = (rows.count, rows[0].count)
        let domains = (memory.labels.max() ?? 0) + 1
        let means = (0..<domains).map { domain -> [Double] in
            let own = rows.indices.filter { memory.labels[$0] == domain }.map { rows[$0] }
            return (0..<width).map { channel in own.reduce(0) { $0 + $1[channel] } / Double(own.count) }
        }
        var covariance = [[Double]](repeating: [Double](repeating: 0, count: width), count: width)
        for (row, label) in zip(rows, memory.labels) {
            let residual = zip(row, means[label]).map { $0 - $1 }
            for i in 0..<width { for j in 0..<width { covariance[i][j] += residual[i] * residual[j] / Double(count) } }
        }
        let equal = (0..<width).reduce(0) { $0 + covariance[$1][$1] } / Double(width)
        for i in 0..<width {
            for j in 0..<width { covariance[i][j] = 0.5 * covariance[i][j] + (i == j ? 0.5 * equal : 0) }
        }
        let target = scale(query).map(Double.init)
        return means.map { mean in
            let difference = zip(target, mean).map { $0 - $1 }
            return zip(difference, solve(covariance, difference)).reduce(0) { $0 + $1.0 * $1.1 }
        }.min() ?? .nan
    }

    /// The solution of a linear system by elimination; the matrix is positive definite.
    private func solve(_ matrix: [[Double]], _ right: [Double]) -> [Double] {
        var (a, x) = (matrix, right)
        for pivot in a.indices {
            for row in a.indices where row != pivot {
                let factor = a[row][pivot] / a[pivot][pivot]
                for column in a.indices { a[row][column] -= factor * a[pivot][column] }
                x[row] -= factor * x[pivot]
            }
        }
        return x.indices.map { x[$0] / a[$0][$0] }
    }

    private func memory(_ domains: Int, each count: Int) -> RouterMemory {
        let (features, labels) = TestQueries.memory(domains: domains, each: count)
        return RouterMemory(features: features, labels: labels)
    }

    @Test func distanceIsThatOfTheDefinition() throws {
        let memory = memory(3, each: 5)
        let rule = try RejectionRule(calibratedOn: memory, domains: 3)
        for (index, query) in (memory.features + [TestValues.uniform(6, "strange").map { 5 * $0 }]).enumerated() {
            let (measured, expected) = (rule.strangeness(of: query), reference(memory, query))
            #expect(abs(measured - expected) <= 1e-4 * expected, "query \(index): \(measured), expected \(expected)")
        }
    }

    @Test func thresholdIsThatOfImagesLeftOut() throws {
        let memory = memory(2, each: 6)
        let rule = try RejectionRule(calibratedOn: memory, domains: 2, deviations: 0)
        var product = 1.0
        for index in 0..<12 {
            var (features, labels) = (memory.features, memory.labels)
            features.remove(at: index)
            labels.remove(at: index)
            product *= reference(RouterMemory(features: features, labels: labels), memory.features[index])
        }
        // Without deviations it is the geometric mean.
        var twelfth = Double(rule.threshold)
        twelfth = (1..<12).reduce(twelfth) { power, _ in power * Double(rule.threshold) }
        #expect(abs(twelfth / product - 1) < 1e-2, "\(twelfth) against \(product)")
        let wider = try RejectionRule(calibratedOn: memory, domains: 2)
        #expect(wider.threshold > rule.threshold)
    }

    /// With known images of ten per domain most of a domain's other images are kept, and those of another domain are not.
    @Test func knownImagesStayAndOthersGo() throws {
        let rule = try RejectionRule(calibratedOn: memory(3, each: 10), domains: 3)
        func rejected(_ images: [[Float]]) -> Int {
            images.filter { rule.rejects(rule.strangeness(of: $0)) }.count
        }
        let known = (0..<3).flatMap { Array(TestQueries.domain($0, count: 60).dropFirst(10)) }
        #expect(rejected(known) <= 15, "\(rejected(known)) of 150")
        let unseen = TestQueries.domain(7, count: 50)
        #expect(rejected(unseen) >= 45, "\(rejected(unseen)) of 50")
        #expect(rule.rejects(.nan) && !rule.rejects(Double(rule.threshold)))
    }

    /// At the first stage there is one domain.
    @Test func oneDomainIsEnough() throws {
        let rule = try RejectionRule(calibratedOn: memory(1, each: 10), domains: 1)
        #expect(rule.rejects(rule.strangeness(of: TestQueries.domain(3, count: 1)[0])))
        #expect(!rule.rejects(rule.strangeness(of: TestQueries.domain(0, count: 1)[0])))
    }

    @Test func memoryThatMeasuresNothing() {
        func fault(_ features: [[Float]], _ labels: [Int], domains: Int) -> RoutingError? {
            #expect(throws: RoutingError.self) {
                _ = try RejectionRule(calibratedOn: RouterMemory(features: features, labels: labels), domains: domains)
            }
        }
        let single = (0..<3).map { TestQueries.domain($0, count: 1)[0] }
        #expect(fault(single, [0, 1, 2], domains: 3)?.kind == .memory)
        #expect(fault([[Float]](repeating: single[0], count: 6), [0, 0, 0, 1, 1, 1], domains: 2)?.kind == .memory)
        #expect(fault(TestQueries.domain(0, count: 2), [0, 0], domains: 1)?.kind == .memory)
        #expect(fault(TestQueries.domain(0, count: 8), Array(repeating: 0, count: 8), domains: 2)?.kind == .memory)
        var damaged = TestQueries.domain(0, count: 8)
        damaged[3][1] = .infinity
        #expect(fault(damaged, Array(repeating: 0, count: 8), domains: 1)?.kind == .notFinite)
    }
}
