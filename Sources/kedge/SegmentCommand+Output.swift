import ArgumentParser
import Datasets
import Evaluation
import Foundation
import Imaging
import Routing
import SegmentAnything
import Telemetry

// What `kedge segment` writes.

extension SegmentCommand {
    /// An image, and the folder of what becomes of it.
    typealias Target = (image: String, folder: String)

    /// Writes a mask per object.
    func write(
        _ picture: Image, _ result: Segmenting.Result<ImageSegmenter.Mask>, _ objects: [ImageSegmenter.ObjectPrompt],
        to target: Target
    ) throws {
        let (output, masks) = (target.folder, result.masks)
        try ImageArguments.make(output)
        if let route = result.route { print("\(target.image): \(route.line)") }
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

    /// Writes the masks found without prompts.
    func write(_ picture: Image, _ result: Segmenting.Result<AutomaticMask>, to target: Target) throws {
        let (output, masks) = (target.folder, result.masks)
        try ImageArguments.make(output)
        if let route = result.route { print("\(target.image): \(route.line)") }
        let labels = try AutomaticMaskRecord.labels(masks, width: picture.width, height: picture.height)
        try labels.writePNG(to: output + "/labels.png")
        var overlay = picture
        overlay.overlay(labels)
        try overlay.writePNG(to: output + "/overlay.png")
        let record = try AutomaticMaskRecord(
            masks, fileName: URL(fileURLWithPath: target.image).lastPathComponent, width: picture.width,
            height: picture.height, route: result.route)
        try record.write(to: output + "/masks.json")
        let count = masks.count == 1 ? "1 mask" : "\(masks.count) masks"
        print("\(output)/masks.json: \(count); labels.png, overlay.png")
    }
}
