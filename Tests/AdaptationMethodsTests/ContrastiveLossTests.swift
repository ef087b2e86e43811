import AdaptationMethods
import Foundation
import Kernels
import Machine
import Tensors
import Testing
import TestSupport

@Suite struct ContrastiveLossTests {
    private let workspace = Workspace(threads: 1)
    private let loss = ContrastiveLoss(temperature: 0.3)

    init() { BLASEnvironment.useSingleThread() }

    /// Logits whose reduction to the grid has the given sign in every cell. // [n, 4 side, 4 side]
    private func logits(_ masks: [[Double]], side: Int) -> Tensor {
        Tensor(
            masks.flatMap { mask in
                (0..<(16 * side * side)).map { pixel in
                    mask[pixel / (4 * side) / 4 * side + pixel % (4 * side) / 4] == 1 ? Float(2) : -1
                }
            }, [masks.count, 4 * side, 4 * side])
    }

    private func evaluate(
        _ teacher: Tensor, _ anchor: Tensor, _ teacherMasks: [[Double]], _ anchorMasks: [[Double]], side: Int
    ) -> (value: Double, gradient: Tensor) {
        var gradient = Tensor(zeros: teacher.shape)
        let value = loss(
            teacher: .init(embedding: teacher, logits: logits(teacherMasks, side: side)),
            anchor: .init(embedding: anchor, logits: logits(anchorMasks, side: side)), addingTo: &gradient,
            in: workspace)
        return (value, gradient)
    }

    @Test func gradientAgreesWithDifferences() {
        let (side, channels) = (3, 7)
        let teacher = TestValues.uniform([side * side, channels], "teacher")
        let anchor = TestValues.uniform([side * side, channels], "anchor")
        func masks(_ purpose: String, empty: Int) -> [[Double]] {
            (0..<4).map { j in
                TestValues.uniform(side * side, "\(purpose) \(j)").map { j == empty ? 0 : $0 > 0 ? 1 : 0 }
            }
        }
        // Instance 2 of the teacher and instance 1 of the anchor have no cell at all.
        let (teacherMasks, anchorMasks) = (masks("teacher", empty: 2), masks("anchor", empty: 1))
        let (value, gradient) = evaluate(teacher, anchor, teacherMasks, anchorMasks, side: side)
        func objective(_ embedding: [Double]) -> [Double] {
            [
                ContrastiveReference.loss(
                    embedding, TestValues.doubles(anchor), channels: channels, teacherMasks, anchorMasks,
                    temperature: 0.3)
            ]
        }
        #expect(abs(value - objective(TestValues.doubles(teacher))[0]) < 1e-6)
        let outcome = GradientCheck.check(
            TestValues.doubles(teacher), function: objective, dOutput: [1], analytic: gradient.elements,
            tolerance: 1e-5)
        #expect(outcome.passed, "\(outcome)")
    }

    @Test func weightScalesTheGradientAlone() {
        let (teacher, anchor) = (TestValues.uniform([4, 5], "t"), TestValues.uniform([4, 5], "a"))
        let maps = logits([[1, 1, 0, 0], [0, 0, 1, 1]], side: 2)
        func run(_ weight: Double) -> (Double, [Float]) {
            var gradient = Tensor(zeros: [4, 5])
            let value = loss(
                teacher: .init(embedding: teacher, logits: maps), anchor: .init(embedding: anchor, logits: maps),
                weight: weight, addingTo: &gradient, in: workspace)
            return (value, gradient.elements)
        }
        let (once, twice) = (run(1), run(2))
        #expect(once.0 == twice.0)
        #expect(zip(once.1, twice.1).allSatisfy { abs(2 * $0 - $1) <= 1e-6 } && once.1.contains { $0 != 0 })
    }

    @Test func oneInstanceGivesExactlyZero() {
        let x = TestValues.uniform([4, 5], "x")
        let (value, gradient) = evaluate(x, x, [[1, 0, 1, 0]], [[1, 1, 0, 0]], side: 2)
        #expect(value == 0 && gradient.elements.allSatisfy { $0 == 0 })
    }

    @Test func equalSimilaritiesGiveTheLogarithmOfTheCount() {
        let same = Tensor(repeating: 1, [4, 3])
        let masks: [[Double]] = [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 1]]
        let (value, _) = evaluate(same, same, masks, masks, side: 2)
        #expect(abs(value - log(3)) < 1e-6)
    }

    @Test func oppositeVectors() {
        let opposite = Tensor([1, 2, -1, -2, 1, 2, -1, -2], [4, 2])
        let masks: [[Double]] = [[1, 0, 1, 0], [0, 1, 0, 1]]
        let (value, _) = evaluate(opposite, opposite, masks, masks, side: 2)
        #expect(abs(value - log(1 + exp(-2 / 0.3))) < 1e-7)
    }

    /// Other forms against the plain formula with the regions written out, value and gradient.
    @Test(arguments: [ContrastForm.background, .patches(side: 2)])
    func otherFormsAgreeWithDifferences(form: ContrastForm) {
        let (side, channels) = (5, 6)
        let teacher = TestValues.uniform([side * side, channels], "teacher")
        let anchor = TestValues.uniform([side * side, channels], "anchor")
        func masks(_ purpose: String) -> [[Double]] {
            (0..<2).map { TestValues.uniform(side * side, "\(purpose) \($0)").map { $0 > 0.2 ? 1 : 0 } }
        }
        func regions(_ masks: [[Double]]) -> [[Double]] {
            guard case .patches = form else {
                return masks + [(0..<(side * side)).map { masks[0][$0] + masks[1][$0] > 0 ? 0 : 1 }]
            }
            // Four whole squares of two cells; the fifth row and column belong to none.
            return [(0, 0), (0, 2), (2, 0), (2, 2)].map { top, left in
                (0..<(side * side)).map { (top..<top + 2) ~= $0 / side && (left..<left + 2) ~= $0 % side ? 1 : 0 }
            }
        }
        let (first, second) = (masks("teacher"), masks("anchor"))
        var gradient = Tensor(zeros: teacher.shape)
        let value = ContrastiveLoss(temperature: 0.4, form: form)(
            teacher: .init(embedding: teacher, logits: logits(first, side: side)),
            anchor: .init(embedding: anchor, logits: logits(second, side: side)), addingTo: &gradient, in: workspace)
        func objective(_ embedding: [Double]) -> [Double] {
            [
                ContrastiveReference.loss(
                    embedding, TestValues.doubles(anchor), channels: channels, regions(first), regions(second),
                    temperature: 0.4, isMeanOfRows: form != .background)
            ]
        }
        #expect(value > 0 && abs(value - objective(TestValues.doubles(teacher))[0]) < 1e-6)
        let outcome = GradientCheck.check(
            TestValues.doubles(teacher), function: objective, dOutput: [1], analytic: gradient.elements,
            tolerance: 1e-5)
        #expect(outcome.passed, "\(outcome)")
    }

    /// Where the released form is zero the two others are not.
    @Test func oneInstanceHasABackgroundAndPatches() {
        let (teacher, anchor) = (TestValues.uniform([16, 5], "t"), TestValues.uniform([16, 5], "a"))
        let maps = logits([(0..<16).map { $0 < 5 ? 1 : 0 }], side: 4)
        for form in [ContrastForm.background, .patches(side: 2)] {
            var gradient = Tensor(zeros: [16, 5])
            let value = ContrastiveLoss(form: form)(
                teacher: .init(embedding: teacher, logits: maps), anchor: .init(embedding: anchor, logits: maps),
                addingTo: &gradient, in: workspace)
            #expect(value > 0 && gradient.elements.contains { $0 != 0 })
        }
    }

    /// Reducing by four without antialiasing reads only the middle 2 x 2 of each block.
    @Test func masksAreTheMeanOfTheMiddleOfEachBlock() {
        let side = 5
        let z = TestValues.uniform([2, 4 * side, 4 * side], "logits")
        let masks = ContrastiveLoss.masks(z, in: workspace)
        for j in 0..<2 {
            for row in 0..<side {
                for column in 0..<side {
                    var sum = 0.0
                    for (dy, dx) in [(1, 1), (1, 2), (2, 1), (2, 2)] {
                        sum += Double(z[(j * 4 * side + 4 * row + dy) * 4 * side + 4 * column + dx])
                    }
                    #expect(masks[(j * side + row) * side + column] == (sum > 0 ? 1 : 0))
                }
            }
        }
    }
}
