import Datasets
import Evaluation
import Imaging
import Telemetry

// The objects that `kedge segment` is asked for.

extension SegmentCommand {
    /// The objects described by the arguments.
    func prompts(width: Int, height: Int) throws -> [ImageSegmenter.ObjectPrompt] {
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
}
