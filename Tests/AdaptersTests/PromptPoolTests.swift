import Adapters
import Kernels
import Layers
import Machine
import SegmentAnything
import Tensors
import Testing
import TestSupport

/// Prompts that images choose from: who is chosen, what learns, and the gradients of what concerns the prompts alone.
@Suite struct PromptPoolTests {
    private let workspace = Workspace(threads: 1)
    private let width = 8
    private let features = ImageFeatures(embedding: TestValues.uniform([16, 8], "embedding"))

    init() { BLASEnvironment.useSingleThread() }

    private func sizes(count: Int = 4, stages: Int = 4) -> PromptPoolSettings {
        var sizes = PromptPoolSettings()
        (sizes.count, sizes.length, sizes.perImage, sizes.stages) = (count, 2, 2, stages)
        (sizes.general, sizes.expert) = (1, 3)
        return sizes
    }

    /// A context with the initial values of a set, or with others.
    private func context(_ places: ParameterPlaces, _ set: some AdapterSet, _ values: [Float]? = nil) -> PassContext {
        let start = set.parameters.flatMap(\.frozen.elements)
        return PassContext(
            workspace,
            trained: TrainableParameters(
                layout: places.layout, values: Tensor(values ?? start, [places.layout.count])),
            adapters: ActiveAdapters([set]))
    }

    /// Compares the gradient that a term adds, with weight 1, with differences of the term.
    private func check(
        _ places: ParameterPlaces, _ set: some AdapterSet, sign: Double,
        _ term: (inout GradientBuffer, PassContext) -> Double
    ) {
        var gradients = GradientBuffer(places.layout)
        _ = term(&gradients, context(places, set))
        let start = set.parameters.flatMap(\.frozen.elements)
        var moved = 0
        for index in start.indices where gradients.values[index] != 0 {
            func value(_ step: Float) -> Double {
                var values = start
                values[index] += step
                var unused = GradientBuffer(places.layout)
                return term(&unused, context(places, set, values))
            }
            let slope = sign * (value(0.01) - value(-0.01)) / 0.02
            let expected = Double(gradients.values[index])
            #expect(abs(slope - expected) < 0.02 * max(abs(expected), 0.1), "\(index): \(slope), \(expected)")
            moved += 1
        }
        #expect(moved > 0)
    }

    @Test func termsOfThePromptsAlone() {
        var places = ParameterPlaces(group: ParameterGroup("prompts"))
        let pool = PromptPool(sizes(), width: width, seed: 1, &places)
        // The choice must not change with a step.
        let chosen = pool.choosing([1, 3])
        check(places, chosen, sign: -1) { chosen.pull(features, weight: 1, gradients: &$0, in: $1) }
        places = ParameterPlaces(group: ParameterGroup("prompts"))
        let stages = StagePrompts(sizes(), width: width, begun: 4, seed: 1, &places).choosing(2)
        check(places, stages, sign: -1) { stages.pull(features, weight: 1, gradients: &$0, in: $1) }
        places = ParameterPlaces(group: ParameterGroup("prompts"))
        let plain = PromptComponents(sizes(stages: 1), width: width, begun: 1, seed: 1, &places)
        var unused = GradientBuffer(places.layout)
        let orthonormal = plain.orthogonality(weight: 1, gradients: &unused, in: context(places, plain))
        #expect(orthonormal < 1e-10, "fresh components are orthonormal: \(orthonormal)")
        let far = context(places, plain, TestValues.uniform(places.layout.count, "far"))
        #expect(plain.orthogonality(weight: 1, gradients: &unused, in: far) > 1)
        checkFar(places, plain)
    }

    /// The gradients of tokens, which are smooth in all parameters behind them.
    @Test func tokensOfAnImage() {
        let sets: [(inout ParameterPlaces) -> any AdapterSet & PromptTokenAdapter] = [
            { PromptPool(sizes(), width: width, seed: 1, &$0).choosing([0, 2]) },
            { StagePrompts(sizes(), width: width, begun: 3, seed: 1, &$0).choosing(1) },
            { PromptComponents(sizes(stages: 1), width: width, begun: 1, seed: 1, &$0) },
        ]
        for make in sets {
            var places = ParameterPlaces(group: ParameterGroup("prompts"))
            let set = make(&places)
            check(places, set, sign: 1) { gradients, context in
                let tokens = set.tokens(for: features, in: context)
                let dTokens = TestValues.uniform(tokens.shape, "dTokens")
                set.backward(dTokens, features: features, gradients: &gradients, in: context)
                return zip(tokens.elements, dTokens.elements).reduce(0) { $0 + Double($1.0) * Double($1.1) }
            }
        }
    }

    /// At orthonormal rows the gradient of the distance is zero, so it is compared elsewhere.
    private func checkFar(_ places: ParameterPlaces, _ set: PromptComponents) {
        let far = TestValues.uniform(places.layout.count, "far")
        var gradients = GradientBuffer(places.layout)
        _ = set.orthogonality(weight: 1, gradients: &gradients, in: context(places, set, far))
        for index in far.indices {
            func value(_ step: Float) -> Double {
                var (values, unused) = (far, GradientBuffer(places.layout))
                values[index] += step
                return set.orthogonality(weight: 1, gradients: &unused, in: context(places, set, values))
            }
            let slope = (value(0.01) - value(-0.01)) / 0.02
            // Two ordered pairs of rows change with each number of one of them.
            #expect(abs(slope - Double(gradients.values[index])) < 0.02 * max(abs(slope), 0.1), "\(index)")
        }
    }

    /// An image takes the prompts with the nearest keys, a batch those that most of it name.
    @Test func nearestAndElected() {
        var places = ParameterPlaces(group: ParameterGroup("prompts"))
        let pool = PromptPool(sizes(), width: width, seed: 1, &places)
        let context = context(places, pool)
        let similarities = pool.similarities(to: features, in: context)
        let own = pool.numbers(for: features, in: context)
        #expect(own == own.sorted() && own.count == 2)
        let others = (0..<4).filter { !own.contains($0) }
        #expect(own.allSatisfy { near in others.allSatisfy { similarities[near] > similarities[$0] } })
        #expect(pool.elected(by: [3, 1, 3, 2, 1, 0]) == [1, 3])
        #expect(pool.elected(by: [2, 3, 0, 1]) == [0, 1], "of equals the first")
        let tokens = pool.choosing([3, 0]).tokens(for: features, in: context)
        let prompts = pool.parameters[0].frozen
        #expect(tokens.shape == [4, 8])
        #expect(tokens.elements == prompts.rows(0..<1).elements + prompts.rows(3..<4).elements)
    }

    /// What belongs to later stages takes no part, and what belongs to earlier ones no longer learns.
    @Test func stagesBegin() throws {
        var places = ParameterPlaces(group: ParameterGroup("prompts"))
        let prompts = StagePrompts(sizes(), width: width, begun: 1, seed: 1, &places)
        var values = prompts.parameters.flatMap(\.frozen.elements)
        // The third key points along the query.
        let mean = (0..<8).map { channel in
            (0..<16).reduce(Float(0)) { $0 + features.embedding[$1 * 8 + channel] } / 16
        }
        let keys = places.layout.entries[2].range
        values.replaceSubrange(keys.lowerBound + 16..<keys.lowerBound + 24, with: mean)
        #expect(prompts.stage(for: features, in: context(places, prompts, values)) == 0)
        let later = try #require(prompts.inStage(2) as? StagePrompts)
        #expect(later.stage(for: features, in: context(places, later, values)) == 2 && later.begun == 3)
        #expect(later.tokens(for: features, in: context(places, later, values)).shape == [4, 8])

        places = ParameterPlaces(group: ParameterGroup("prompts"))
        let components = PromptComponents(sizes(), width: width, begun: 1, seed: 1, &places)
        let second = try #require(components.inStage(1) as? PromptComponents)
        var gradients = GradientBuffer(places.layout)
        let dTokens = TestValues.uniform([2, 8], "dTokens")
        second.backward(dTokens, features: features, gradients: &gradients, in: context(places, second))
        let learnt = gradients.values.rows(places.layout.entries[0].range).reshaped([4, 16])
        for component in 0..<4 {
            #expect(learnt.rows(component..<component + 1).elements.contains { $0 != 0 } == (component == 1))
        }
        let (one, two) = (
            components.tokens(for: features, in: context(places, components)),
            second.tokens(for: features, in: context(places, second))
        )
        #expect(one.elements != two.elements)
    }
}
