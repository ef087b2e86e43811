import ArgumentParser
import Collectives
import Datasets
import DataTools
import Foundation
import Imaging
import Recipes
import Runs
import Telemetry
import Training

extension DataCommand {
    /// `kedge data check`.
    struct Check: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "check",
            abstract: "Reads a whole data set and reports all errors and warnings in one pass.",
            discussion: """
                Prints a summary (images, sizes, instances, areas), then errors (unreadable files with the reason, \
                invalid annotations with file, record and rule, missing labels) and warnings (smoothed labels, tiny \
                instances, duplicate images). Exits with 0 if a run can use all of it, 65 if there are errors. \
                Options set the recipe's data.* keys and override --recipe and --set.
                """)

        @Argument(help: "The data set's folder.")
        var root: String

        @Option(help: ArgumentHelp("The format: \(DatasetRegistry.names.joined(separator: ", ")).", valueName: "name"))
        var format: String?

        @Option(help: ArgumentHelp("The annotation file or folder, relative to the root.", valueName: "path"))
        var annotations: String?

        @Option(help: ArgumentHelp("The image folder, relative to the root.", valueName: "folder"))
        var images: String?

        @Option(help: ArgumentHelp("The label image folder, relative to the root.", valueName: "folder"))
        var labels: String?

        @Option(help: ArgumentHelp("Treat all label values above this as one instance.", valueName: "value"))
        var binarise: Int?

        @Option(
            help: ArgumentHelp(
                "Draw up to 25 evenly spaced images with instances, boxes and points into this PNG file.",
                valueName: "file"))
        var sheet: String?

        @Option(
            help: ArgumentHelp(
                "Describe the data set as one domain of a continual benchmark in this JSON file: samples with SHA-256, "
                    + "those to train on, to evaluate on and to keep.",
                valueName: "file"))
        var manifest: String?

        @Option(help: "Check only the first N images; 0 checks all.")
        var limit = 0

        @Flag(help: "List every problem instead of the first 20 of each kind.")
        var all = false

        @OptionGroup var recipe: RecipeOptions

        func validate() throws {
            guard limit >= 0 else { throw ValidationError("--limit must be 0 or more") }
            guard manifest == nil || limit == 0 else {
                throw ValidationError("--manifest describes the whole data set; leave out --limit")
            }
        }

        /// The options as recipe settings.
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
                // An earlier sheet inside the data set is one of its images to many formats.
                try InputProtection.check(
                    outputs: [sheet, manifest].compactMap { $0 }, files: recipe.recipe.map { [$0] } ?? [],
                    folders: [root])
                let prompts = PromptOptions(
                    kind: .point, positivePoints: resolved.prompts.positivePoints,
                    negativePoints: resolved.prompts.negativePoints,
                    maximumInstances: resolved.prompts.maximumInstances)
                let seed = UInt64(truncatingIfNeeded: resolved.training.seed)
                var check = DatasetCheck(
                    format: resolved.data.source.format, resolved.data.source.options,
                    limit: limit > 0 ? limit : nil, prompts: resolved.prompts.source,
                    sheet: sheet.map { _ in ContactSheet(prompts: prompts, seed: seed) },
                    describesDomain: manifest != nil)
                let (findings, picture) = try check.run()
                print(findings.report(most: all ? nil : 20))
                if let sheet, let picture {
                    try picture.writePNG(to: sheet)
                    print("contact sheet: \(sheet)")
                }
                if let manifest, let description = check.manifest {
                    try description.write(to: manifest)
                    print("manifest: \(manifest)")
                }
                if findings.isUsable, let refusal = RunRehearsal.refusal(resolved, labels: findings.labelKinds) {
                    throw refusal
                }
                guard !findings.isUsable else { return .done }
                Failure.report(
                    "\(root): \(findings.errors) error\(findings.errors == 1 ? "" : "s") in the data set; fix them as reported"
                        + (findings.canSkipErrors ? ", or skip such images with data.badSamples=skip" : ""))
                return .data
            }
        }
    }
}
