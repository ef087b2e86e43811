import Adapters
import Collectives
public import Evaluation
import FaultInjection
import Foundation
import Kernels
import Layers
import ModelLoading
import PlainText
import Recipes
import Telemetry
import WeightFiles

extension EvaluationRun {
    /// The scores of rounds of clicks on one source's images.
    public struct InteractiveScore: Sendable {
        /// The source's name; nil where the recipe names none.
        public let source: String?
        /// How it was clicked.
        public let rules: InteractiveProtocol
        /// The scores.
        public let outcome: InteractiveOutcome

        /// A table for people, a line per round.
        public var lines: [String] {
            let (images, objects) = (outcome.images.count, outcome.objects)
            let head =
                (source.map { "\($0): " } ?? "") + "\(objects) object\(objects == 1 ? "" : "s") on \(images) image"
                + "\(images == 1 ? "" : "s"), started by a \(rules.start.rawValue)"
                + (rules.task > 0 ? ", task \(rules.task)" : "")
            return [head, "round     IoU  boundary IoU  best IoU  its boundary IoU"]
                + outcome.rounds.enumerated().map { index, round in
                    String(
                        format: "%5d  %.4f        %.4f    %.4f            %.4f", index + 1, round.iou,
                        round.boundaryIoU, round.bestIoU, round.bestBoundaryIoU)
                }
        }
    }

    /// Clicks through all objects that have masks; the scores are the same on every rank.
    ///
    /// - Parameters:
    ///   - path: An adapter file; nil for the base model.
    ///   - poolPath: The folder of a pool; nil for none.
    ///   - output: A folder for `rounds-START.csv`, or `rounds-SOURCE-START.csv` if sources are named.
    ///
    /// Throws the typed errors of every module.
    public func run(
        interactively rules: InteractiveProtocol, adapter path: String?, pool poolPath: String? = nil,
        output: String?
    ) throws -> [InteractiveScore] {
        guard recipe.recipe.evaluation.view == .fit else {
            throw RunError(
                .configuration, "evaluation.view=\(recipe.recipe.evaluation.view.rawValue) has no rounds of clicks",
                remedy: "set evaluation.view=fit, or leave out --rounds")
        }
        let prepared = try prepare(adapter: path, pool: poolPath) { sources in
            output.map { folder in sources.map { "\(folder)/\(table($0, rules))" } } ?? []
        }
        try prepared.subject.checkTable(of: rules.task)
        var scores: [InteractiveScore] = []
        var unreadable: [UnreadableSample] = []
        for source in prepared.sources {
            try FaultInjector.check(.evaluation)
            let result = try source.evaluator.evaluate(
                prepared.subject, interactively: rules, communicator: communicator, in: workspace)
            scores.append(.init(source: prepared.name(of: source), rules: rules, outcome: result.outcome))
            unreadable += result.unreadable
        }
        try prepared.check(unreadable)
        guard let output, communicator.isRoot else { return scores }
        try makeFolder(output)
        for (source, score) in zip(prepared.sources, scores) {
            try RunFolder.publish(score.outcome.table, to: "\(output)/\(table(source, rules))") {}
        }
        return scores
    }

    private func table(_ source: SourceEvaluator, _ rules: InteractiveProtocol) -> String {
        "rounds-\(prefix(source))\(rules.start.rawValue).csv"
    }
}

extension InteractiveOutcome {
    /// A row for each image and round, as CSV.
    fileprivate var table: String {
        var text = "image,objects,round,iou,boundary_iou,best_iou,best_boundary_iou\n"
        for image in images {
            for (index, round) in image.rounds.enumerated() {
                let cells = [TableCell.text(of: image.id), "\(image.objects)", "\(index + 1)"]
                text += (cells + round.values.map { "\($0)" }).joined(separator: ",") + "\n"
            }
        }
        return text
    }
}
