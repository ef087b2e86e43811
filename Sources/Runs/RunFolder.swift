import Datasets
import Evaluation
import Foundation
import PlainText
public import Telemetry

/// The files of one run, `runs/NAME/`.
///
/// | file | content |
/// |---|---|
/// | `recipe.yaml` | the resolved recipe, every value with its source |
/// | `log.jsonl` | one JSON object per event |
/// | `evaluation.csv` | one row per evaluation and kind of prompt |
/// | `images-STEP-PROMPT.csv` | one row per evaluation image; `images-STEP-SOURCE-PROMPT.csv` with several sources |
/// | `adapters/step-STEP.safetensors` | the LoRA matrices at each evaluation |
/// | `adapter.safetensors` | the LoRA matrices at the end |
/// | `checkpoints/` | the checkpoints to resume from |
/// | `automatic/` | one file per image: the labels found by the anchor, with `prompts.source: automatic` |
/// | `LOCK` | the process that writes to the folder |
/// | `summary.txt` | the scores before and after |
public struct RunFolder: Sendable {
    /// The folder.
    public let path: String

    /// Creates the folder's description without accessing the disk.
    public init(folder: String, name: String) { path = folder + "/" + name }

    /// The matrices at the end of the run.
    public var adapter: String { path + "/adapter.safetensors" }

    /// The checkpoints to resume from.
    public var checkpoints: String { path + "/checkpoints" }

    /// The labels found by the anchor, one file per image.
    public var automatic: String { path + "/automatic" }

    /// The matrices after a step.
    public func adapter(step: Int) -> String { path + "/adapters/step-\(Self.padded(step)).safetensors" }

    /// The per-image scores of one evaluation.
    ///
    /// - Parameter source: The source of the images; nil if it has no name.
    public func images(step: Int, source: String? = nil, prompt: String) -> String {
        path + "/images-\(Self.padded(step))-" + (source.map { $0 + "-" } ?? "") + "\(prompt).csv"
    }

    /// True if the folder holds a run.
    public var holdsRun: Bool {
        let files = FileManager.default
        return files.fileExists(atPath: path + "/recipe.yaml") || files.fileExists(atPath: checkpoints)
    }

    /// True if a run has finished here.
    public var holdsAdapter: Bool { FileManager.default.fileExists(atPath: adapter) }

    /// Creates the folder, keeping its contents. Called on rank 0 only. Throws `RunError`.
    public func make() throws(RunError) {
        do { try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true) } catch {
            throw Self.failure(path, error)
        }
    }

    /// The error of a run that may neither resume nor replace the run in its folder.
    var heldAlready: RunError {
        RunError(
            .cannotWrite, "\(path) already holds a run",
            remedy: "choose another run.name, resume it with --resume auto, or replace it with --overwrite")
    }

    /// Writes the recipe to the folder; called on rank 0 only.
    ///
    /// - Parameters:
    ///   - overwriting: True to remove the files of an earlier run.
    ///   - resuming: True to continue it; an existing run that is neither overwritten nor resumed is refused.
    ///
    /// Throws `RunError`.
    public func create(recipe yaml: String, overwriting: Bool, resuming: Bool) throws(RunError) {
        let files = FileManager.default
        if holdsRun, !resuming {
            guard overwriting else { throw heldAlready }
            try clear()
        }
        do {
            try files.createDirectory(atPath: path + "/adapters", withIntermediateDirectories: true)
            try Data(yaml.utf8).write(to: URL(fileURLWithPath: path + "/recipe.yaml"))
        } catch {
            throw Self.failure(path, error)
        }
    }

    /// Writes the per-image scores of an evaluation; called on rank 0 only. Throws `RunError`.
    func write(_ outcome: Evaluator.Outcome, step: Int, source: String?) throws(RunError) {
        try Self.write(outcome, to: images(step: step, source: source, prompt: outcome.prompt.rawValue))
    }

    /// Writes per-image scores as CSV. Throws `RunError`.
    static func write(_ outcome: Evaluator.Outcome, to file: String) throws(RunError) {
        let measures = outcome.scores.measured.map(\.measure)
        var text = (["image", "instances"] + measures.map(\.rawValue)).joined(separator: ",") + "\n"
        for image in outcome.images {
            let cells = measures.map { image.scores[$0].map { "\($0)" } ?? "" }
            text += ([TableCell.text(of: image.id), "\(image.instances)"] + cells).joined(separator: ",") + "\n"
        }
        do {
            try Data(text.utf8).write(to: URL(fileURLWithPath: file))
        } catch {
            throw failure(file, error)
        }
    }

    /// Writes the closing table; called on rank 0 only. Throws `RunError`.
    public func writeSummary(_ text: String) throws(RunError) {
        do {
            try Data((text + "\n").utf8).write(to: URL(fileURLWithPath: path + "/summary.txt"))
        } catch {
            throw Self.failure(path + "/summary.txt", error)
        }
    }

    /// Removes only the files of an earlier run; automatic labels stay, as they identify the inputs they are valid for.
    private func clear() throws(RunError) {
        let files = FileManager.default
        let names = ((try? files.contentsOfDirectory(atPath: path)) ?? []).sorted().filter {
            [
                "recipe.yaml", "log.jsonl", "evaluation.csv", "adapters", "adapter.safetensors", "summary.txt",
                "checkpoints",
            ].contains(
                $0)
                || ($0.hasPrefix("images-") && $0.hasSuffix(".csv"))
        }
        for name in names {
            do { try files.removeItem(atPath: path + "/" + name) } catch {
                throw Self.failure(path + "/" + name, error)
            }
        }
    }

    private static func padded(_ step: Int) -> String {
        let digits = String(step)
        return String(repeating: "0", count: max(0, 6 - digits.count)) + digits
    }

    private static func failure(_ path: String, _ error: any Error) -> RunError {
        let cause = (error as NSError).localizedDescription
        return RunError(
            .cannotWrite, "\(path) cannot be written: \(cause)",
            remedy: "free disk space or choose a writable folder with --set run.folder=PATH")
    }
}
