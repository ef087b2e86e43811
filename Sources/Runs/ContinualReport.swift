import AdaptationMethods
import Datasets
import Evaluation
import Telemetry

/// The scores of a run in stages as matrices: one for each kind of prompt and each measure.
struct ContinualReport {
    /// What was run.
    let title: String
    /// The stages of the run.
    let stages: [Stage]

    /// The domains that are trained on, in the order of their stages.
    private var domains: [String] { DataMixture.inOrder(stages.flatMap(\.domains)) }

    /// The number of domains learned by the end of each stage; nil where a stage adds none, so that there is no matrix.
    private var learned: [Int]? {
        var known: [String] = []
        let counts = stages.map { stage -> Int in
            known = DataMixture.inOrder(known + stage.domains)
            return known.count
        }
        return zip([0] + counts, counts).allSatisfy { $0 < $1 } ? counts : nil
    }

    /// The matrices of the evaluations at the ends of stages; nil for a run of one stage, or without scores.
    func scores(_ records: [EvaluationRecord]) -> ContinualScores? {
        guard stages.count > 1, let learned else { return nil }
        let kinds = DataMixture.inOrder(records.map(\.prompt))
        var measures: [ContinualScores.Measure] = []
        for kind in kinds {
            for measure in EvaluationScores.Measure.allCases {
                let own = records.filter { $0.prompt == kind && $0.scores[measure] != nil }
                guard !own.isEmpty else { continue }
                var matrix = ScoreMatrix(domains: domains, learned: learned)
                for stage in stages {
                    let after = own.filter { $0.stage == stage.name }
                    guard !after.isEmpty else { break }
                    let natural = after.filter { !domains.contains($0.domain) }
                    matrix.append(
                        domains.map { domain in mean(after.filter { $0.domain == domain }, measure) },
                        natural: mean(natural, measure))
                }
                let name = kinds.count > 1 ? "\(kind): \(measure.title)" : measure.title
                measures.append(.init(name: name, matrix: matrix))
            }
        }
        return measures.isEmpty ? nil : ContinualScores(title: title, measures: measures)
    }

    /// The mean over images of several sources, each image counted once.
    private func mean(_ records: [EvaluationRecord], _ measure: EvaluationScores.Measure) -> Double? {
        let images = records.reduce(0) { $0 + $1.images }
        guard images > 0 else { return nil }
        return records.reduce(0) { $0 + Double($1.images) * ($1.scores[measure] ?? .nan) } / Double(images)
    }
}
