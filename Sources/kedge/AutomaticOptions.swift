import ArgumentParser
import Evaluation
import Foundation
import Imaging
import Runs
import SegmentAnything
import Telemetry

/// The settings of `kedge segment --automatic`; SAM's by default.
struct AutomaticOptions: ParsableArguments {
    @Flag(help: "Segment everything from a grid of points; writes masks.json, labels.png and overlay.png.")
    var automatic = false

    @Option(help: ArgumentHelp("With --automatic: points along each side of the image (32).", valueName: "n"))
    var pointsPerSide: Int?

    @Option(help: ArgumentHelp("With --automatic: points decoded per batch; affects memory only (64).", valueName: "n"))
    var pointsPerBatch: Int?

    @Option(help: ArgumentHelp("With --automatic: minimum predicted IoU of a mask (0.88).", valueName: "x"))
    var iouThreshold: Double?

    @Option(help: ArgumentHelp("With --automatic: minimum stability score of a mask (0.95).", valueName: "x"))
    var stabilityThreshold: Double?

    @Option(help: ArgumentHelp("With --automatic: logit threshold offset of the stability score (1).", valueName: "x"))
    var stabilityOffset: Double?

    @Option(help: ArgumentHelp("With --automatic: box IoU threshold of non-maximum suppression (0.7).", valueName: "x"))
    var boxNmsThreshold: Double?

    @Option(help: ArgumentHelp("With --automatic: layers of 4, 16, ... crops besides the image (0).", valueName: "n"))
    var cropLayers: Int?

    @Option(help: ArgumentHelp("With --automatic: the same threshold between crops (0.7).", valueName: "x"))
    var cropNmsThreshold: Double?

    @Option(help: ArgumentHelp("With --automatic: crop overlap, share of the shorter side (0.341).", valueName: "x"))
    var cropOverlap: Double?

    @Option(help: ArgumentHelp("With --automatic: divisor of the points per side, per crop layer (1).", valueName: "n"))
    var cropPointsDownscale: Int?

    @Option(help: ArgumentHelp("With --automatic: remove holes and islands below this area (0).", valueName: "pixels"))
    var minRegionArea: Int?

    /// The options that were passed and have no effect without `--automatic`.
    var givenSettings: [String] {
        let settings: [(String, Any?)] = [
            ("--points-per-side", pointsPerSide), ("--points-per-batch", pointsPerBatch),
            ("--iou-threshold", iouThreshold), ("--stability-threshold", stabilityThreshold),
            ("--stability-offset", stabilityOffset), ("--box-nms-threshold", boxNmsThreshold),
            ("--crop-layers", cropLayers), ("--crop-nms-threshold", cropNmsThreshold), ("--crop-overlap", cropOverlap),
            ("--crop-points-downscale", cropPointsDownscale), ("--min-region-area", minRegionArea),
        ]
        return settings.filter { $0.1 != nil }.map(\.0)
    }

    /// SAM's settings, overridden by the options passed.
    var configuration: AutomaticMaskConfiguration {
        var settings = AutomaticMaskConfiguration()
        func set<Value>(_ path: WritableKeyPath<AutomaticMaskConfiguration, Value>, _ value: Value?) {
            if let value { settings[keyPath: path] = value }
        }
        set(\.pointsPerSide, pointsPerSide)
        set(\.pointsPerBatch, pointsPerBatch)
        set(\.predictedIoUThreshold, iouThreshold)
        set(\.stabilityScoreThreshold, stabilityThreshold)
        set(\.stabilityScoreOffset, stabilityOffset)
        set(\.boxSuppressionThreshold, boxNmsThreshold)
        set(\.cropLayers, cropLayers)
        set(\.cropSuppressionThreshold, cropNmsThreshold)
        set(\.cropOverlapRatio, cropOverlap)
        set(\.cropPointsDownscaleFactor, cropPointsDownscale)
        set(\.minimumRegionArea, minRegionArea)
        return settings
    }
}

extension SegmentCommand {
    /// Throws when prompts are combined with `--automatic`, or its settings or several images are used without it.
    func refuseContradictions(_ inputs: ImageArguments) throws {
        let prompts = [
            ("--box", !box.isEmpty), ("--point", !point.isEmpty), ("--mask", mask != nil), ("--multimask", multimask),
        ].filter(\.1).map(\.0)
        if automatic.automatic, let prompt = prompts.first {
            throw RunError(
                .configuration, "\(prompt) cannot be combined with --automatic, which uses no prompts",
                remedy: "omit one of them")
        }
        if !automatic.automatic, let setting = automatic.givenSettings.first {
            throw RunError(
                .configuration, "\(setting) has no effect without --automatic",
                remedy: "add --automatic or omit \(setting)")
        }
        if !automatic.automatic, inputs.areMany {
            throw RunError(
                .configuration, "prompts belong to one image, and \(inputs.paths.count) are given",
                remedy: "give one image, or add --automatic")
        }
        try automatic.configuration.validate()
    }
}
