import AdaptationMethods
import Adapters
import Datasets
import Imaging
import Machine
import ModelLoading
import Recipes
import Runs
import SegmentAnything
import Testing

import Collectives
import Foundation
import Kernels
import Layers
import Tensors
import Training

/// Messages about non-finite values, and images with too few or too many instances.
@Suite struct NonFiniteTests {
    private static let layout =
        (try? Trainables(.lowRankPairs, in: ModelDescription(.tiny)).layout) ?? ParameterLayout()

    private let losses = StepLosses(
        parts: [.init("focal", 1, weight: 20), .init("dice", 0.5, weight: 1)], instances: 3)

    @Test func finiteNumbersHaveNoName() {
        let gradient = [Float](repeating: 1, count: Self.layout.count)
        #expect(NonFiniteSample.tensor(losses, gradient, Self.layout) == nil)
    }

    @Test func theFirstMatrixIsNamedWithItsCount() throws {
        var gradient = [Float](repeating: 1, count: Self.layout.count)
        let (first, second) = (Self.layout.entries[2], Self.layout.entries[5])
        for place in [first.offset, first.offset + first.shape.count - 1, second.offset] { gradient[place] = .infinity }
        gradient[first.offset + 1] = .nan
        #expect(
            NonFiniteSample.tensor(losses, gradient, Self.layout)
                == "3 of \(first.shape.count) numbers in the gradient of \(first.name) are not finite")
    }

    /// Adam's second moment would be infinite: no checkpoint could hold it.
    @Test func whatCannotBeSquaredIsNamedToo() {
        var gradient = [Float](repeating: -1e18, count: Self.layout.count)
        #expect(NonFiniteSample.tensor(losses, gradient, Self.layout) == nil)
        let entry = Self.layout.entries[3]
        gradient[entry.offset] = -2e19
        #expect(
            NonFiniteSample.tensor(losses, gradient, Self.layout)
                == "1 of \(entry.shape.count) numbers in the gradient of \(entry.name) are too large for Adam, which squares them"
        )
    }

    @Test func lossesComeFirst() {
        let gradient = [Float](repeating: .nan, count: Self.layout.count)
        let bad = StepLosses(parts: [.init("focal", 1, weight: 20), .init("dice", .nan, weight: 1)], instances: 3)
        #expect(NonFiniteSample.tensor(bad, gradient, Self.layout) == "loss dice is nan")
        let large = StepLosses(parts: [.init("focal", 1e300, weight: 1e20)], instances: 3)
        #expect(NonFiniteSample.tensor(large, gradient, Self.layout) == "the total loss is inf")
    }

    /// An image whose only instance vanishes in the model's frame has weight 0; from too many instances, some are
    /// drawn.
    @Test func imagesWithoutInstancesHaveWeightZeroAndManyAreCapped() throws {
        BLASEnvironment.useSingleThread()
        let folder = try CellFolder(count: 4)
        let side = 384
        var label = LabelImage(width: side, height: side, labels: [UInt16](repeating: 0, count: side * side))
        label.labels[199 * side + 199] = 1
        try Image(width: side, height: side, channels: 3, filledWith: 90).writePNG(
            to: "\(folder.path)/images/cells-0002.png")
        try label.writePNG(to: "\(folder.path)/labels/cells-0002.png")
        let recipe = try ResolvedRecipe(
            settings: [
                "model.kind=tiny", "data.root=\(folder.path)", "data.split=none", "training.globalBatch=4",
                "training.steps=1", "optimizer.warmUpSteps=0", "prompts.maximumInstances=2", "training.logEvery=1",
            ])
        let all = try [1, 3, 6].map { ranks in
            try InProcessCommunicator.run(ranks: ranks) { communicator in
                let run = RunAssembly(
                    recipe: recipe.recipe, communicator: communicator, workspace: Workspace(threads: 1))
                let trainer = try run.makeTrainer(
                    LoadedModel(recipe.recipe.model, recipe.recipe.node, communicator: communicator),
                    TrainingData(recipe.recipe))
                defer { trainer.stop() }
                let outcome = try trainer.runStep(0, isStopRequested: false)
                return (
                    outcome.contributingSamples, outcome.own.instances,
                    (trainer.adapted.trained?.values.elements ?? []).map(\.bitPattern)
                )
            }
        }
        for ranks in all {
            #expect(ranks.allSatisfy { $0.0 == 3 && $0.2 == all[0][0].2 })
            #expect(ranks.reduce(0) { $0 + $1.1 } == 6)
        }
    }
}
