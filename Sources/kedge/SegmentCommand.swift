import Adapters
public import ArgumentParser
import Collectives
import Datasets
import Evaluation
import FaultInjection
import Foundation
public import Imaging
import Kernels
import ModelLoading
import Recipes
import Runs
import SegmentAnything
import Telemetry

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
            tools, and labels.png its annotation numbers, smaller masks over larger ones.
            """)

    @Argument(help: "The image, PNG or JPEG.")
    var image: String

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

    @Option(help: "The model.")
    var model = ModelCatalog.standard

    @Option(help: "The weight file; defaults to where scripts/fetch-weights puts it.")
    var weights = ""

    @Option(help: "A run's adapter (adapter.safetensors).")
    var adapter: String?

    @Option(help: "Image preprocessing: auto, sam, wesam, medsam.")
    var preprocessing = "auto"

    @Option(
        help: ArgumentHelp(
            "How samples become 8 bits: \(IntensityArgument.names); by default as for the adapter, or else auto.",
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

    @OptionGroup(title: "Automatic masks")
    var automatic: AutomaticOptions

    func validate() throws {
        guard (0...1024).contains(threads) else { throw ValidationError("--threads must be 0 to 1024") }
        guard (0...1e6).contains(stallLimit) else { throw ValidationError("--stall-limit must be 0 to 1000000") }
    }

    func run() throws {
        Startup.onAllRanks { communicator in
            let cores = try ThreadShare.threads(asked: threads, communicator: communicator)
            guard communicator.isRoot else { return .done }
            faults.arm(rank: communicator.rank)
            try refuseContradictions()
            try InputProtection.check(
                outputs: outputs, files: [image] + [mask, adapter, weightFile].compactMap { $0 })
            let resolved = try ResolvedRecipe(
                settings: [
                    "model.kind=\(model.name)", "model.preprocessing=\(preprocessing)", "data.root=.",
                ])
            let picture = try readImage()
            noticeOrientation()
            let objects =
                automatic.automatic ? [] : try prompts(width: picture.width, height: picture.height)
            var base = resolved.recipe.model
            base.weights = weights
            if let adapter {
                base.allGlobalEncoder = LoadedModel.isAllGlobal(try AdapterFile(opening: adapter).description)
            }
            let workspace = try Workspace.start(threads: cores)
            let watchdog = try Watchdog(alone: communicator, limit: stallLimit, pool: workspace.pool) {
                _exit(ExitCode.hang.rawValue)
            }
            defer { watchdog.stop() }
            communicator.phase = "segmentation"
            try FaultInjector.check(.load)
            try MemoryCheck.checkWeights(base, communicator)
            let loaded = try LoadedModel(base)
            let check = MemoryCheck(
                recipe: resolved.recipe, configuration: loaded.model.configuration, threads: cores, mostInstances: 1,
                method: try MemoryCheck.evaluation())
            try MemoryCheck.check(try check.plan(worldSize: 1), host: communicator.hostName)
            let adapted = try adapter.map { try loaded.adapted(opening: $0) }
            if automatic.automatic {
                let segmenter = try AutomaticSegmenter(
                    loaded, adapted: adapted, settings: automatic.configuration, workspace: workspace)
                try write(picture, try segmenter.masks(of: picture))
                return .done
            }
            let segmenter = ImageSegmenter(loaded, adapted: adapted, workspace: workspace)
            let masks = try segmenter.segment(picture, objects, multimask: multimask)
            try write(picture, masks, objects)
            return .done
        }
    }

    /// The files that the command may write.
    private var outputs: [String] {
        let masks = automatic.automatic ? ["masks.json"] : (1...box.count + 1).map { "mask-\($0).png" }
        return (masks + ["labels.png", "overlay.png"]).map { output + "/" + $0 }
    }

    private var weightFile: String? {
        var settings = ModelSettings()
        (settings.kind, settings.weights) = (model, weights)
        return LoadedModel.weightPath(settings)
    }

    /// Tells of an orientation that is not applied: coordinates then are those of the stored image, not of a viewer's.
    private func noticeOrientation() {
        guard exif == .ignore, let orientation = (try? ImageHead(path: image))?.orientation else { return }
        Failure.notice(
            "\(image) states \(orientation.name) (Exif orientation \(orientation.rawValue)), which is not applied: prompts "
                + "and masks are those of the stored image; --exif apply turns it upright")
    }

    /// The image, read as those that the adapter was trained on; says how, if it has more than 8 bits.
    private func readImage() throws -> Image {
        let reading = try adapter.map { AdapterIntensity(try AdapterFile(opening: $0), path: $0) }
        let (chosen, notices) = reading?.intensity(asked: intensity) ?? (Intensity(intensity ?? .auto), [])
        let decoded = try ImageFile.decode(path: image, exif: exif, intensity: chosen)
        for line in notices { Failure.notice(line) }
        if let stored = decoded.stored {
            let isCut = stored.bits > 8 && stored.spread == nil && stored.values.low < stored.values.high
            Failure.notice(
                "\(isCut ? "warning: " : "")\(image): \(stored.description)"
                    + (isCut ? ", \(stored.levels) levels left; --intensity auto would scale them" : ""))
            if intensity == nil,
                let line = reading?.noticeWithoutRecord(
                    deepImages: stored.bits > 8 ? 1 : 0, key: "--intensity full")
            {
                Failure.notice(line)
            }
        }
        return decoded.rgb()
    }

    /// The objects described by the arguments.
    private func prompts(width: Int, height: Int) throws -> [ImageSegmenter.ObjectPrompt] {
        var objects = try box.map { text -> ImageSegmenter.ObjectPrompt in
            let numbers = try Self.numbers(text, counts: [4], option: "--box", form: "x0,y0,x1,y1")
            guard numbers[2] > numbers[0], numbers[3] > numbers[1] else {
                throw RunError(.configuration, "--box \(text) has no area", remedy: "use x0 < x1 and y0 < y1")
            }
            return .init(box: Box(x0: numbers[0], y0: numbers[1], x1: numbers[2], y1: numbers[3]))
        }
        let points = try point.map { text -> LabelledPoint in
            let numbers = try Self.numbers(text, counts: [2, 3], option: "--point", form: "x,y or x,y,0")
            return LabelledPoint(x: numbers[0], y: numbers[1], isForeground: numbers.count == 2 || numbers[2] != 0)
        }
        for (x, y, option) in objects.compactMap(\.box).flatMap({ [($0.x0, $0.y0, "--box"), ($0.x1, $0.y1, "--box")] })
            + points.map({ ($0.x, $0.y, "--point") })
        where !(0...Double(width)).contains(x) || !(0...Double(height)).contains(y) {
            throw RunError(
                .configuration, "\(option) \(x),\(y) is outside the image of \(width) x \(height)",
                remedy: "use pixel coordinates inside the image")
        }
        let rough = try mask.map { try roughMask($0, width: width, height: height) }
        if !points.isEmpty || rough != nil {
            if objects.count == 1 {
                objects[0].points = points
                objects[0].mask = rough
            } else {
                objects.append(.init(points: points, mask: rough))
            }
        }
        guard !objects.isEmpty else {
            throw RunError(
                .configuration, "no prompt given", remedy: "add --box, --point, --mask or --automatic")
        }
        return objects
    }

    private func roughMask(_ path: String, width: Int, height: Int) throws -> [UInt8] {
        let image = try ImageFile.decode(path: path)
        guard image.width == width, image.height == height else {
            throw RunError(
                .configuration, "--mask \(path) is \(image.width) x \(image.height), the image is \(width) x \(height)",
                remedy: "use a mask of the image's size")
        }
        return stride(from: 0, to: image.pixels.count, by: image.channels).map { image.pixels[$0] > 127 ? 1 : 0 }
    }

    private static func numbers(_ text: String, counts: [Int], option: String, form: String) throws -> [Double] {
        let parts = text.split(separator: ",", omittingEmptySubsequences: false).map { Double($0) }
        let numbers = parts.compactMap { $0 }.filter(\.isFinite)
        guard numbers.count == parts.count, counts.contains(numbers.count) else {
            throw RunError(.configuration, "\(option) \(text) is not of the form \(form)", remedy: "write \(form)")
        }
        return numbers
    }

    /// Creates the output folder.
    func makeOutputFolder() throws {
        do {
            try FileManager.default.createDirectory(atPath: output, withIntermediateDirectories: true)
        } catch {
            throw RunError(
                .cannotWrite, "\(output) cannot be created: \((error as NSError).localizedDescription)",
                remedy: "pass a writable folder with --output")
        }
    }

    private func write(
        _ picture: Image, _ masks: [ImageSegmenter.Mask], _ objects: [ImageSegmenter.ObjectPrompt]
    ) throws {
        try makeOutputFolder()
        var labels = LabelImage(
            width: picture.width, height: picture.height,
            labels: [UInt16](repeating: 0, count: picture.width * picture.height))
        for (index, mask) in masks.enumerated() {
            let file = "\(output)/mask-\(index + 1).png"
            try Image(
                width: picture.width, height: picture.height, channels: 1, pixels: mask.pixels.map { $0 ? 255 : 0 }
            ).writePNG(to: file)
            for pixel in mask.pixels.indices where mask.pixels[pixel] { labels.labels[pixel] = UInt16(index + 1) }
            let area = mask.pixels.reduce(0) { $0 + ($1 ? 1 : 0) }
            print("\(file): \(area) pixels, predicted IoU \(String(format: "%.3f", mask.predictedIoU))")
        }
        try labels.writePNG(to: output + "/labels.png")
        try ImageSegmenter.overlay(picture, masks, objects).writePNG(to: output + "/overlay.png")
        print("\(output)/overlay.png")
    }
}
