public import AdaptationMethods
public import ArgumentParser
import Adapters
import Collectives
import Datasets
import Evaluation
import FaultInjection
import Foundation
import Imaging
import Kernels
import ModelLoading
import Recipes
import Runs
import SegmentAnything
import Telemetry
import WeightFiles

extension UncertaintySource: ExpressibleByArgument {}

/// `kedge uncertainty`.
struct UncertaintyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "uncertainty",
        abstract: "Shows how far the masks that a model finds by itself can be trusted, pixel by pixel (SUM).",
        discussion: """
            Finds the masks of each image and compares each with what a refinement module makes of it (--refiner, the \
            adapter.safetensors of a run of method refiner or of runs/NAME/refiner), with the model's own mask of the box \
            around it (--by discrepancy), or with itself without doubt (--by confidence). Writes uncertainty.png, grey, \
            255 times the largest |sigma(s) - sigma(r)| of any mask at each pixel, overlay.png, where doubt is red, \
            and masks.csv, one row per mask. Several images, or those of a folder, get a folder each.
            """)

    @Argument(help: "Images, PNG or JPEG, or folders of images.")
    var images: [String]

    @Option(help: "The adapter file of a refinement module; its base model is --model.")
    var refiner: String?

    @Option(help: "What masks are compared with: refiner, discrepancy, confidence; by default refiner if one is given.")
    var by: UncertaintySource?

    @Option(
        help:
            "The orientation stated in the image file: ignore keeps rows and columns as stored, apply turns it upright."
    )
    var exif = ImageFile.ExifOrientation.ignore

    @Option(help: "The model.")
    var model = ModelCatalog.standard

    @Option(help: "The weight file; defaults to where scripts/fetch-weights puts it.")
    var weights = ""

    @Option(help: "Image preprocessing: auto, sam, medsam.")
    var preprocessing = "auto"

    @Option(
        help: ArgumentHelp(
            "How samples become 8 bits: \(IntensityArgument.names); by default as for the refiner, or else auto.",
            valueName: "rule"), transform: IntensityArgument.parse)
    var intensity: Intensity.Rule?

    @Option(help: ArgumentHelp("Points along each side of the image.", valueName: "n"))
    var pointsPerSide = AutomaticMaskConfiguration().pointsPerSide

    @Option(help: "The output folder.")
    var output = "uncertainty"

    @Option(help: "Threads; 0 uses all cores.")
    var threads = 0

    @Option(help: "Seconds without progress until it ends with status 72; 0 for no limit.")
    var stallLimit = 300.0

    @OptionGroup var faults: FaultOptions

    func validate() throws {
        guard (0...1024).contains(threads) else { throw ValidationError("--threads must be 0 to 1024") }
        guard (0...1e6).contains(stallLimit) else { throw ValidationError("--stall-limit must be 0 to 1000000") }
        guard preprocessing != Preprocessing.Kind.wesam.rawValue else {
            throw ValidationError(
                "--preprocessing wesam adds bars on both sides, which would count as image; give auto, sam or medsam")
        }
        guard by != UncertaintySource.none else {
            throw ValidationError("--by none compares with nothing; give refiner, discrepancy or confidence")
        }
        guard refiner == nil || (by ?? .refiner) == .refiner else {
            throw ValidationError("--refiner is not used with --by \(by?.rawValue ?? ""); leave one of them out")
        }
        guard refiner != nil || (by ?? .refiner) != .refiner else {
            throw ValidationError("give --refiner FILE, or --by discrepancy or confidence, which need none")
        }
    }

    func run() throws {
        Startup.onAllRanks { communicator in
            let cores = try ThreadShare.threads(asked: threads, communicator: communicator)
            guard communicator.isRoot else { return .done }
            faults.arm(rank: communicator.rank)
            var settings = AutomaticMaskConfiguration()
            settings.pointsPerSide = pointsPerSide
            try settings.validate()
            let inputs = try ImageArguments(images)
            let folders = try inputs.folders(in: output)
            try InputProtection.check(
                outputs: folders.flatMap { folder in Self.files.map { folder + "/" + $0 } },
                files: inputs.paths + [refiner].compactMap { $0 }, folders: [])
            for root in inputs.roots { try InputProtection.check(outputFolder: output, outside: root) }
            let reading = try ImageReading(adapter: refiner, pool: nil, asked: intensity, exif: exif)
            let workspace = try Workspace.start(threads: cores)
            let watchdog = try Watchdog(alone: communicator, limit: stallLimit, pool: workspace.pool) {
                _exit(ExitCode.hang.rawValue)
            }
            defer { watchdog.stop() }
            communicator.phase = "uncertainty"
            try FaultInjector.check(.load)
            let loaded = try LoadedModel(
                alone: model, weights: weights, preprocessing: preprocessing,
                adaptedDigest: try refiner.map { try AdapterFile(opening: $0).description.baseDigest },
                threads: cores, communicator)
            let segmenter = try AutomaticSegmenter(loaded, settings: settings, workspace: workspace)
            let mapper = UncertaintyMapper(loaded, by: try comparison(loaded), workspace: workspace)
            return try inputs.forEach { place, path in
                let picture = try reading.image(path)
                let origins = try segmenter.labels(of: picture).compactMap(\.origin)
                let maps = try mapper.maps(of: picture, origins)
                let values = mapper.uncertainty(of: maps, width: picture.width, height: picture.height)
                try write(picture, maps, values, of: path, to: folders[place])
                communicator.activity.work(at: "uncertainty")
            }
        }
    }

    private static let files = ["uncertainty.png", "overlay.png", "masks.csv"]

    private func comparison(_ loaded: LoadedModel) throws -> UncertaintyMapper.Comparison {
        switch by ?? .refiner {
        case .refiner: .refiner(try loaded.refiner(opening: refiner ?? ""))
        case .discrepancy: .discrepancy
        case .confidence, .none: .confidence
        }
    }

    /// Writes the largest uncertainty of any mask at each pixel, and a row for each mask.
    private func write(
        _ picture: Image, _ maps: PseudoMaps, _ values: [Float], of path: String, to folder: String
    ) throws {
        try ImageArguments.make(folder)
        try Image(
            width: picture.width, height: picture.height, channels: 1,
            pixels: values.map { UInt8(min(max((255 * $0).rounded(), 0), 255)) }
        ).writePNG(to: folder + "/uncertainty.png")
        var overlay = picture.rgb()
        overlay.tint(values, colour: Colour(255, 0, 0))
        try overlay.writePNG(to: folder + "/overlay.png")
        let means = (0..<maps.count).map { maps.meanUncertainty(of: $0) }
        let rows = means.enumerated().map { "\($0 + 1),\($1)" }
        try ImageFile.write(
            Array(("mask,mean_uncertainty\n" + rows.map { $0 + "\n" }.joined()).utf8), to: folder + "/masks.csv")
        let worst = means.indices.max { means[$0] < means[$1] }
        let mean = means.reduce(0, +) / Double(max(means.count, 1))
        print(
            "\(path): \(means.count) mask\(means.count == 1 ? "" : "s")"
                + (worst.map { worst in
                    String(
                        format: ", mean uncertainty %.3f, least certain mask %d (%.3f)", mean, worst + 1, means[worst])
                } ?? "") + "; \(folder)/overlay.png")
    }
}
