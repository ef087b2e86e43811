import AdaptationMethods
import CheckpointStore
import Datasets
import Evaluation
import Foundation
import PlainText
public import Telemetry
import WeightFiles

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
/// | `automatic/` | one file per image: the labels made by the unadapted model |
/// | `maps/` | two files per image: how far these can be trusted, with `method.name: sum` |
/// | `refiner/` | the run that trained the refinement module, with `method.name: sum` |
/// | `LOCK` | the process that writes to the folder |
/// | `summary.txt` | the scores before and after |
///
/// The folder itself, or one above it, may be a link to another disk. Inside it no link is followed. Before a file
/// appears in it, the lock shows that the folder is still this run's.
public struct RunFolder: Sendable {
    /// The folder.
    public let path: String
    /// The lock of the folder, on the rank that holds it.
    var lock: RunLock?

    /// Creates the folder's description without accessing the disk.
    public init(folder: String, name: String) { path = folder + "/" + name }

    /// The matrices at the end of the run.
    public var adapter: String { path + "/adapter.safetensors" }

    /// The checkpoints to resume from.
    public var checkpoints: String { path + "/checkpoints" }

    /// Where labels, maps and refinement module of a run are: in its folder, or in the store that its recipe names.
    func products(of recipe: Recipe) -> String {
        let store = recipe.adaptationMethod.pseudoMasks?.store ?? ""
        return store.isEmpty ? path : store
    }

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

    /// The same folder, held by this run.
    func held(by lock: RunLock?) -> RunFolder {
        var folder = self
        folder.lock = lock
        return folder
    }

    /// Throws once the folder is no longer this run's.
    func permit() throws(WeightFileError) {
        guard let loss = lock?.loss else { return }
        throw WeightFileError(.writable, path: loss.path, found: loss.reason, remedy: loss.remedy)
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
        } catch {
            throw Self.failure(path, error)
        }
        try Self.publish(yaml, to: path + "/recipe.yaml", ifAllowed: permit)
    }

    /// Writes the per-image scores of an evaluation; called on rank 0 only. Throws `RunError`.
    func write(_ outcome: Evaluator.Outcome, step: Int, source: String?) throws(RunError) {
        let file = images(step: step, source: source, prompt: outcome.prompt.rawValue)
        try Self.write(outcome, to: file, ifAllowed: permit)
    }

    /// Writes the scores of a run's stages, for programs and for people; called on rank 0 only. Throws `RunError`.
    func write(_ scores: ContinualScores) throws {
        let json = String(decoding: try scores.json(), as: UTF8.self)
        try Self.publish(json + "\n", to: path + "/stages.json", ifAllowed: permit)
        try Self.publish(scores.markdown + "\n", to: path + "/stages.md", ifAllowed: permit)
    }

    /// Writes per-image scores as CSV. Throws `RunError`.
    static func write(
        _ outcome: Evaluator.Outcome, to file: String, ifAllowed permission: AtomicFile.Permission = {}
    ) throws(RunError) {
        let measures = outcome.scores.measured.map(\.measure)
        var text = (["image", "instances"] + measures.map(\.rawValue)).joined(separator: ",") + "\n"
        for image in outcome.images {
            let cells = measures.map { image.scores[$0].map { "\($0)" } ?? "" }
            text += ([TableCell.text(of: image.id), "\(image.instances)"] + cells).joined(separator: ",") + "\n"
        }
        try publish(text, to: file, ifAllowed: permission)
    }

    /// Writes a file that appears whole. Throws `RunError`.
    static func publish(
        _ text: String, to file: String, ifAllowed permission: AtomicFile.Permission
    ) throws(RunError) {
        do throws(WeightFileError) {
            try AtomicFile.write(Array(text.utf8), to: file, ifAllowed: permission)
        } catch {
            throw RunError(.cannotWrite, "\(error.path) cannot be written: \(error.found)", remedy: error.remedy)
        }
    }

    /// Writes the closing table; called on rank 0 only. Throws `RunError`.
    public func writeSummary(_ text: String) throws(RunError) {
        try Self.publish(text + "\n", to: path + "/summary.txt", ifAllowed: permit)
    }

    /// Removes only the files of an earlier run; automatic labels stay, as they identify the inputs they are valid for.
    private func clear() throws(RunError) {
        let files = FileManager.default
        let names = ((try? files.contentsOfDirectory(atPath: path)) ?? []).sorted().filter {
            [
                "recipe.yaml", "log.jsonl", "evaluation.csv", "adapters", "adapter.safetensors", "summary.txt",
                "checkpoints", "stages.json", "stages.md", "pool",
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
