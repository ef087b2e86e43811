import AdaptationMethods
import Adapters
import Collectives
import Datasets
import Evaluation
import Foundation
import Kernels
import Layers
import Machine
import ModelLoading
import Recipes
import SegmentAnything
import Telemetry
import Training
import WeightFiles

// The checks and records before a run begins.

extension RunAssembly {
    /// Stops all ranks if one has a different program or recipe than rank 0; runs before anything depends on them.
    func checkRecipes() throws {
        let program = [(name: "program", value: (try? FileDigest.sha256(of: "/proc/self/exe")) ?? "unknown")]
        // Threads may differ: the result does not depend on them.
        let settings = recipe.entries.filter { $0.key.key != "execution.threads" }.map {
            (name: $0.key.key, value: "\($0.value)")
        }
        try RankAgreement.check(program + settings, communicator: communicator)
    }

    /// True on all ranks if one of them was asked to stop.
    func isStopAgreed(_ isStopRequested: Bool) throws -> Bool {
        communicator.phase = "start"
        return try communicator.allMaximum([isStopRequested ? 1 : 0])[0] != 0
    }

    /// A warning if the recipe's prompts do not suit its model; nil otherwise.
    package var promptWarning: String? {
        let (model, prompts) = (recipe.model, recipe.prompts)
        let asked =
            prompts.source == .automatic
            ? "prompts.source=automatic"
            : recipe.data.all.contains { recipe.madeLabels(of: $0.settings) == .found }
                ? "points, which find the labels of supervision=none" : prompts.usesPoints ? "points" : nil
        guard !model.kind.prompts.contains(.point), let asked else { return nil }
        let read = model.kind.prompts.map(\.plural).joined(separator: " and ")
        return "warning: \(model.kind.name) was trained only on \(read) and performs poorly with \(asked); "
            + "other models support points"
    }

    /// The kinds of prompt and the learning rate, for the log. // settled
    var promptFact: PromptFact {
        let (prompts, schedule) = (recipe.prompts, recipe.optimizer.schedule)
        // A jittered view draws its own prompt, and has no teacher.
        let drawsPrompts = recipe.adaptationMethod.needs.view == .jittered
        let student = drawsPrompts ? "box, points or noisy mask" : prompts.kind.rawValue
        let teacher = drawsPrompts ? PromptFact.noTeacher : prompts.teacherKind.kind?.rawValue ?? student
        return PromptFact(
            student: student, teacher: teacher, source: prompts.source.rawValue,
            scored: (recipe.evaluation.kinds ?? []).map(\.rawValue), learningRate: schedule.base,
            warmUpSteps: schedule.warmUpSteps)
    }

    /// The sum of a run's learning rates below which it hardly changes the model: the first hundred steps of the
    /// published schedule, which change nothing, have 0.002.
    private static let leastSumOfRates = 0.01
    /// The largest rate at which CoSAM's code trains SAM's own decoder.
    private static let largestRateOfOwnWeights = 1e-3

    /// The largest rate that published code gives a fresh adapter, with room.
    private static let largestRateOfAdapters = 1e-2

    /// Warnings about a schedule that does not reach its rate, or cannot move the adapter. // settled
    func scheduleWarnings(_ data: TrainingData) -> [String] {
        let total = schedule(data).totalSteps
        let rates = recipe.optimizer.schedule
        guard total > 0 else { return [] }
        if rates.warmUpSteps >= total {
            return [
                "optimizer.warmUpSteps=\(rates.warmUpSteps) is not below the run's \(total) steps: the full learning "
                    + "rate is never reached; set it to auto or train longer"
            ]
        }
        // Weights that SAM was trained to need far less change than adapters that begin at zero.
        guard recipe.adaptationMethod.trainables.parameters.isEmpty else {
            return rates.base <= Self.largestRateOfOwnWeights
                ? []
                : [
                    "a learning rate of \(rates.base) is one for fresh adapters, and \(recipe.method.name) trains SAM's own "
                        + "weights; set optimizer.learningRate to 1e-5, at most \(Self.largestRateOfOwnWeights)"
                ]
        }
        let factor = recipe.adaptationMethod.trainables.adapters.map(\.group.rateFactor).max() ?? 1
        guard factor == 1 || rates.base * factor <= Self.largestRateOfAdapters else {
            return [
                "adapters train at \(factor) times the learning rate of \(rates.base); set optimizer.learningRate to 1e-4, at "
                    + "most \(Self.largestRateOfAdapters / factor)"
            ]
        }
        var sum = 0.0
        for step in 0..<total where sum < Self.leastSumOfRates { sum += factor * rates.rate(at: step) }
        guard sum < Self.leastSumOfRates else { return [] }
        return [
            "\(total) steps at a learning rate of \(rates.base) hardly change the model; set "
                + "optimizer.learningRate=auto or train longer"
        ]
    }

    /// The first record of a log. Collective.
    func startRecord(
        _ entries: [(key: String, value: String)], _ loaded: LoadedModel,
        _ versions: [(name: String, version: String)], firstStep: Int
    ) throws -> StartRecord {
        let placements = try communicator.allGather(
            floats: [Float(ProcessInfo.processInfo.activeProcessorCount), Float(workspace.pool.threads)])
        let hosts = communicator.hostNames
        return StartRecord(
            recipe: entries, versions: versions,
            placement: placements.enumerated().map { rank, numbers in
                .init(host: hosts[rank], cores: Int(numbers[0]), threads: Int(numbers[1]))
            },
            openBLASCore: BLASEnvironment.coreName, weightsDigest: loaded.baseDigest, recipeDigest: recipe.digest,
            firstStep: firstStep)
    }

    /// The error of a run that would have to skip more images than allowed.
    ///
    /// - Parameter leftOut: The images skipped before.
    func tooManyBad(
        _ samples: [UnreadableSample], _ leftOut: [ImageID], _ data: TrainingData, while doing: String
    ) -> RunError {
        let now = Set(samples.map(\.image))
        return RunError.unreadable(
            samples, others: leftOut.filter { !now.contains($0) }.map(data.name(of:)),
            limit: recipe.data.badSampleLimit, ranks: communicator.worldSize, while: doing)
    }
}
