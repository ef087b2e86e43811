import Adapters
public import ArgumentParser
import Collectives
import Datasets
import Evaluation
import FaultInjection
import Foundation
public import Imaging
import Interaction
import Kernels
import ModelLoading
import Recipes
import Runs
import SegmentAnything
import Telemetry
import WeightFiles

extension ImageFile.ExifOrientation: ExpressibleByArgument {}

/// `kedge segment`.
struct SegmentCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "segment", abstract: "Segments an image from box, point or mask prompts, or everything in it.",
        discussion: """
            Each --box is a separate object. All --point together describe one more object, or refine the box if \
            there is exactly one; --mask is a rough mask of that same object. Coordinates are image pixels, \
            from the top left corner. Writes mask-1.png, mask-2.png, ... (0 and 255), labels.png (object numbers) and \
            overlay.png. With --automatic there are no prompts; masks.json holds them as an SA-1B record for COCO \
            tools, and labels.png its annotation numbers, smaller masks over larger ones. Several images, or those of a \
            folder, need --automatic and get a folder each; those that cannot be read are named and counted, and the \
            command ends with 65. With --pool a router chooses the adapter of each image, or none.
            """)

    @Argument(help: "The image, PNG or JPEG; with --automatic also several, or folders of images.")
    var images: [String]

    @Option(parsing: .singleValue, help: ArgumentHelp("A box; repeatable.", valueName: "x0,y0,x1,y1"))
    var box: [String] = []

    @Option(
        parsing: .singleValue,
        help: ArgumentHelp("A point on the object, or with ,0 on the background; repeatable.", valueName: "x,y[,0|1]"))
    var point: [String] = []

    @Option(help: "A rough mask of the object: an image of the same size, above 127 is inside.")
    var mask: String?

    @Option(
        help:
            "The orientation stated in the image file: ignore keeps rows and columns as stored, apply turns it upright."
    )
    var exif = ImageFile.ExifOrientation.ignore

    @Option(help: "The model; by default that of the pool, or else \(ModelCatalog.standard.name).")
    var model: BaseModel?

    @Option(help: "The weight file; defaults to where scripts/fetch-weights puts it.")
    var weights = ""

    @Option(help: "A run's adapter (adapter.safetensors).")
    var adapter: String?

    @Option(
        help: ArgumentHelp(
            "The pool of a run with continual.strategy=moda (runs/NAME/pool), whose router chooses for each image.",
            valueName: "folder"))
    var pool: String?

    @Option(help: "Image preprocessing: auto, sam, wesam, medsam.")
    var preprocessing = "auto"

    @Option(
        help: ArgumentHelp(
            "How samples become 8 bits: \(IntensityArgument.names); by default as for the adapter or pool, or else auto.",
            valueName: "rule"), transform: IntensityArgument.parse)
    var intensity: Intensity.Rule?

    @Option(help: "The output folder.")
    var output = "segmentation"

    @Option(help: "Threads; 0 uses all cores.")
    var threads = 0

    @Option(help: "Seconds without progress until it ends with status 72; 0 for no limit.")
    var stallLimit = 300.0

    @OptionGroup var faults: FaultOptions

    @Flag(help: "Choose the best of three candidate masks by predicted IoU: better for a single point.")
    var multimask = false

    @Option(help: "The kind of task, for adapters trained with tasks: none, salient, entity, part.")
    var task = TaskKind.none

    @OptionGroup(title: "Automatic masks")
    var automatic: AutomaticOptions

    func validate() throws {
        guard (0...1024).contains(threads) else { throw ValidationError("--threads must be 0 to 1024") }
        guard (0...1e6).contains(stallLimit) else { throw ValidationError("--stall-limit must be 0 to 1000000") }
        guard pool == nil || adapter == nil else { throw ValidationError("give --adapter or --pool, not both") }
    }

    func run() throws {
        Startup.onAllRanks { communicator in
            let cores = try ThreadShare.threads(asked: threads, communicator: communicator)
            guard communicator.isRoot else { return .done }
            faults.arm(rank: communicator.rank)
            let inputs = try ImageArguments(images)
            try refuseContradictions(inputs)
            let folders = try inputs.folders(in: output)
            let files = try pool.map { try AdapterPool(opening: $0) }
            if let model { try files?.check(model: model, "--model ", view: nil) }
            let kind = try files.map { (files) throws(WeightFileError) in try OpenedPool.model(of: files) } ?? model
            try InputProtection.check(
                outputs: folders.flatMap(outputs),
                files: inputs.paths
                    + [mask, adapter, weightFile(kind ?? ModelCatalog.standard)].compactMap { $0 },
                folders: [pool].compactMap { $0 })
            for root in inputs.roots { try InputProtection.check(outputFolder: output, outside: root) }
            let reading = try ImageReading(adapter: adapter, pool: files, asked: intensity, exif: exif)
            // What is wrong with a single image or its prompts is said before weights are read.
            let single = inputs.areMany ? nil : try reading.image(inputs.paths[0])
            let objects =
                automatic.automatic ? [] : try single.map { try prompts(width: $0.width, height: $0.height) } ?? []
            let workspace = try Workspace.start(threads: cores)
            let watchdog = try Watchdog(alone: communicator, limit: stallLimit, pool: workspace.pool) {
                _exit(ExitCode.hang.rawValue)
            }
            defer { watchdog.stop() }
            communicator.phase = "segmentation"
            try FaultInjector.check(.load)
            let segmenting = try Segmenting(
                self, files, kind ?? ModelCatalog.standard, workspace: workspace, threads: cores, communicator)
            return try inputs.forEach { place, path in
                let picture = try single ?? reading.image(path)
                let target = (image: path, folder: folders[place])
                if automatic.automatic {
                    try write(picture, try segmenting.masks(of: picture), to: target)
                } else {
                    try write(picture, try segmenting.masks(of: picture, objects), objects, to: target)
                }
                communicator.activity.work(at: "segmentation")
            }
        }
    }

    /// The files that the command may write into a folder.
    private func outputs(_ folder: String) -> [String] {
        let masks = automatic.automatic ? ["masks.json"] : (1...box.count + 1).map { "mask-\($0).png" }
        return (masks + ["labels.png", "overlay.png"]).map { folder + "/" + $0 }
    }

    private func weightFile(_ kind: BaseModel) -> String? {
        var settings = ModelSettings()
        (settings.kind, settings.weights) = (kind, weights)
        return LoadedModel.weightPath(settings)
    }
}
