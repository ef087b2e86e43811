import Adapters
import ArgumentParser
import Collectives
import Evaluation
import Foundation
import Imaging
import Kernels
import ModelLoading
import Recipes
import Routing
import Runs
import SegmentAnything
import Telemetry
import WeightFiles

/// `kedge pool route`.
struct PoolRouteCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "route", abstract: "Tells for each image which domain's adapter serves it.",
        discussion: """
            One line per image: the domain with its score, the runner-up with its score, and how far the image is from \
            all domains; or no adapter, if it is farther than the pool allows. Images that cannot be read are named and \
            counted, and the command ends with 65.
            """)

    @Argument(help: "The pool's folder, as in runs/NAME/pool.")
    var pool: String

    @Argument(help: "Images (PNG, JPEG) and folders of images.")
    var images: [String]

    @Option(help: "The weight file; defaults to where scripts/fetch-weights puts it.")
    var weights = ""

    @Option(
        help:
            "The orientation stated in the image file: ignore keeps rows and columns as stored, apply turns it upright."
    )
    var exif = ImageFile.ExifOrientation.ignore

    @Option(
        help: ArgumentHelp(
            "How samples become 8 bits: \(IntensityArgument.names); by default as for the adapters, or else auto.",
            valueName: "rule"), transform: IntensityArgument.parse)
    var intensity: Intensity.Rule?

    @Option(help: "Threads; 0 uses all cores.")
    var threads = 0

    @Option(help: "Seconds without progress until it ends with status 72; 0 for no limit.")
    var stallLimit = 300.0

    func validate() throws {
        guard (0...1024).contains(threads) else { throw ValidationError("--threads must be 0 to 1024") }
        guard (0...1e6).contains(stallLimit) else { throw ValidationError("--stall-limit must be 0 to 1000000") }
    }

    func run() throws {
        Startup.onAllRanks { communicator in
            let cores = try ThreadShare.threads(asked: threads, communicator: communicator)
            guard communicator.isRoot else { return .done }
            let files = try AdapterPool(opening: pool)
            let paths = try ImageArguments(images)
            let workspace = try Workspace.start(threads: cores)
            let watchdog = try Watchdog(alone: communicator, limit: stallLimit, pool: workspace.pool) {
                _exit(ExitCode.hang.rawValue)
            }
            defer { watchdog.stop() }
            communicator.phase = "routing"
            let opened = try OpenedPool(files, weights: weights, threads: cores, communicator)
            let (reading, notices) = try AdapterIntensity(files).intensity(asked: intensity)
            for line in notices { Failure.notice(line) }
            return try paths.forEach { _, path in
                let image = try ImageFile.decode(path: path, exif: exif, intensity: reading).rgb()
                let decision = try opened.pool.route(
                    image, seen: opened.view, by: opened.loaded.preprocessing, in: workspace)
                communicator.activity.work(at: "routing")
                print("\(path): \(opened.pool.router.line(of: decision))")
            }
        }
    }
}

/// A pool with its base model, on a rank that computes alone.
struct OpenedPool {
    /// The base model.
    let loaded: LoadedModel
    /// The adapted models and their router.
    let pool: AdaptedPool
    /// How images are brought to the model's square.
    let view: EvaluationView

    /// Loads the weights of a pool's model. Throws the errors of weights and pool.
    ///
    /// - Parameter preprocessing: As in `model.preprocessing`; auto is that of the pool's adapters.
    init(
        _ files: AdapterPool, weights: String, preprocessing: String = "auto", threads: Int,
        _ communicator: any Communicator
    ) throws {
        view = try files.evaluationView
        loaded = try LoadedModel(
            alone: try Self.model(of: files), weights: weights,
            preprocessing: preprocessing == "auto" ? try Self.preprocessing(of: files) : preprocessing,
            adaptedDigest: files.baseDigest, threads: threads, communicator)
        pool = try AdaptedPool(files, over: loaded)
    }

    /// The model of a pool. Throws `WeightFileError` for one of another version.
    static func model(of files: AdapterPool) throws(WeightFileError) -> BaseModel {
        if let model = BaseModel(rawValue: files.model) { return model }
        throw WeightFileError(
            .pool, path: files.path, found: "a pool of the model \(files.model)",
            remedy: "use the version of Kedge that wrote it")
    }

    private static func preprocessing(of files: AdapterPool) throws(WeightFileError) -> String {
        guard let first = files.entries.first else { return "auto" }
        return try AdapterFile(opening: files.path(of: first.file)).description.preprocessing
    }
}
