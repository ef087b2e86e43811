public import Collectives
public import Datasets
import Foundation
import Kernels
import Recipes
public import Telemetry

/// The beginning of a run without model and folder: its images are opened, split and scanned, its prompts chosen.
///
/// What a run would refuse because of its labels is refused here. Masks that a run would make are assumed to be found.
public struct RunRehearsal: Sendable {
    /// What the run would do, as its log would state it.
    public let lines: [String]
    /// What the log would warn of.
    public let warnings: [String]

    /// Rehearses a run. Collective; each rank scans a share of the images.
    ///
    /// - Parameter limit: The largest number of images to scan per source; nil for all.
    ///
    /// Throws the errors with which the run would end.
    public init(_ recipe: Recipe, limit: Int? = nil, communicator: any Communicator) throws {
        var recipe = recipe
        if let limit { recipe.limitImages(to: limit) }
        let assembly = RunAssembly(recipe: recipe, communicator: communicator, workspace: Workspace(threads: 1))
        try assembly.checkStartFile()
        let continued = try ContinuedPool(recipe)
        let data = try TrainingData(
            recipe, communicator: communicator,
            labelling: { [recipe] dataset, _, source in
                recipe.madeLabels(of: source.settings).map { AssumedMasks(base: dataset, made: $0) } ?? dataset
            })
        let settled = assembly.settled(data)
        lines = [data.fact.line, settled.promptFact.line] + (continued.map { [$0.line] } ?? [])
        warnings = [settled.promptWarning].compactMap(\.self) + settled.scheduleWarnings(data) + data.scoreWarnings
    }
}

extension RunRehearsal {
    /// The error with which a run would refuse labels of these kinds; nil if it would not.
    ///
    /// - Parameter labels: The labels of each image with an instance.
    public static func refusal(_ recipe: Recipe, labels: [LabelKinds]) -> RunError? {
        let choice = PromptChoice(recipe, training: labels, scored: labels)
        let faults = labels.compactMap { choice.trainingFault($0, "") ?? choice.evaluationFault($0, "") }
        guard let first = faults.first, faults.count > recipe.data.badSampleLimit else { return nil }
        return RunError(
            .badData, "\(faults.count) of \(labels.count) images: \(first.problem)", remedy: first.remedy)
    }
}

extension Recipe {
    fileprivate mutating func limitImages(to limit: Int) {
        func limited(_ own: Int) -> Int { own > 0 ? min(own, limit) : limit }
        data.source.limit = limited(data.source.limit)
        for place in data.sources.indices {
            data.sources[place].settings.limit = limited(data.sources[place].settings.limit)
        }
    }
}

/// A data set as it will be once the model has made masks for it.
private struct AssumedMasks: SegmentationDataset {
    let base: any SegmentationDataset
    let made: MadeLabels

    var count: Int { base.count }
    func id(_ index: Int) -> String { base.id(index) }
    func sample(_ index: Int) throws -> Sample { try base.sample(index) }
    func fingerprint(_ index: Int) -> String { base.fingerprint(index) }

    func survey(_ index: Int) throws -> ImageSurvey {
        // Masks that are found need no labels, only an image that can be read.
        var survey = try base.survey(index)
        survey.instances = made == .found ? max(survey.instances, 1) : survey.instances
        survey.kinds = [.masks, .boxes]
        return survey
    }
}

extension DatasetError {
    /// The exit code of a command that this error ends.
    public var exitCode: ExitCode {
        switch code {
        case .missingFolder: .noInput
        case .unknownDataset, .unavailablePrompt, .missingMasks, .invalidOption: .usage
        case .writeFailed: .cannotWrite
        default: .data
        }
    }
}
