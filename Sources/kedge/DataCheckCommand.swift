import Training
import Recipes
import DataTools
import ArgumentParser
import Collectives
import Datasets
import Foundation
import Imaging
import Telemetry
import Runs

extension DataCommand {
    /// `kedge data check`.
    struct Check: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "check",
            abstract: "Reads a whole data set and names everything that is wrong or doubtful about it, in one pass.",
            discussion: """
                Prints what was found (images, sizes, instances, areas), then errors (broken files with their reason, \
                annotations with file, record and rule, missing labels) and warnings (labels that look smoothed, tiny \
                instances, images twice). The status is 0 if a run can use all of it, 65 if there are errors. Options \
                stand for the recipe's keys of data.* and win over --recipe and --set.
                """)

        @Argument(help: "The data set's folder.")
        var root: String

        @Option(help: ArgumentHelp("The format: \(DatasetRegistry.names.joined(separator: ", ")).", valueName: "name"))
        var format: String?

        @Option(help: ArgumentHelp("The annotation file or folder below the root.", valueName: "path"))
        var annotations: String?

        @Option(help: ArgumentHelp("The folder of images below the root.", valueName: "folder"))
        var images: String?

        @Option(help: ArgumentHelp("The folder of label images below the root.", valueName: "folder"))
        var labels: String?

        @Option(help: ArgumentHelp("Label values above this are one instance.", valueName: "value"))
        var binarise: Int?

        @Option(
            help: ArgumentHelp(
                "Draw up to 25 images, evenly chosen, with instances, boxes and points into this PNG file.",
                valueName: "file"))
        var sheet: String?

        @Option(help: "Look at the first so many images only; 0 is all.")
        var limit = 0

        @Flag(help: "List every problem instead of the first 20 of each kind.")
        var all = false

        @OptionGroup var recipe: RecipeOptions

        func validate() throws {
            guard limit >= 0 else { throw ValidationError("--limit must be 0 or more") }
        }

        /// The options as settings of the recipe.
        private var keys: [String] {
            let values = [
                ("format", format), ("annotations", annotations), ("images", images), ("labels", labels),
                ("binarise", binarise.map(String.init)),
            ]
            return ["data.root=\(root)"] + values.compactMap { key, value in value.map { "data.\(key)=\($0)" } }
        }

        func run() throws {
            Startup.onAllRanks { communicator in
                guard communicator.isRoot else { return .done }
                let resolved = try recipe.resolve(adding: keys).recipe
                let prompts = PromptOptions(
                    kind: .point, positivePoints: resolved.prompts.positivePoints,
                    negativePoints: resolved.prompts.negativePoints,
                    maximumInstances: resolved.prompts.maximumInstances)
                let seed = UInt64(truncatingIfNeeded: resolved.training.seed)
                var check = DatasetCheck(
                    format: resolved.data.source.format, resolved.data.source.options,
                    limit: limit > 0 ? limit : nil,
                    sheet: sheet.map { _ in ContactSheet(prompts: prompts, seed: seed) })
                let (findings, picture) = try check.run()
                print(findings.report(most: all ? nil : 20))
                if let sheet, let picture {
                    try picture.writePNG(to: sheet)
                    print("contact sheet: \(sheet)")
                }
                guard !findings.isUsable else { return .done }
                Failure.report(
                    "\(root): \(findings.errors) errors in the data set; mend them as the report says, "
                        + "or leave such images out with data.badSamples=skip")
                return .data
            }
        }
    }
}
