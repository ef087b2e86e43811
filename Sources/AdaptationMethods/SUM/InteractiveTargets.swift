import Foundation
import Interaction
import Kernels
import SegmentAnything
import Tensors

/// The random numbers of all objects and rounds of an image.
struct InteractiveDraws {
    /// Whether objects start with a box; else with a point.
    let startsWithBox: Bool
    /// Standard normal numbers for the box of each object. // n x [4]
    let normal: [[Float]]
    /// A uniform number for the click of each object in each round. // R x n
    let uniform: [[Double]]

    /// Draws them in a fixed order.
    init(objects: Int, rounds: Int, from generator: SeededGenerator) {
        var generator = generator
        startsWithBox = generator.chance(0.5)
        normal = (0..<objects).map { _ in
            (0..<4).map { _ in Float(generator.normal(log: { log($0) }, cos: { cos($0) })) }
        }
        uniform = (0..<rounds).map { _ in (0..<objects).map { _ in generator.unit() } }
    }
}

/// Some of an image's objects, as rounds of clicks see them.
struct InteractiveTargets {
    /// Bytes that are 0 or 1. // [n, S, S]
    let bytes: [UInt8]
    /// S.
    let side: Int
    /// The image's part of the square.
    let area: MaskCanvas.Area
    /// Which of the image's objects.
    let chunk: Range<Int>
    /// Their masks on the image's part.
    private let truth: [PixelMask]
    /// Whether nothing is computed, so that places of clicks do not matter.
    private let isRehearsed: Bool

    init(masks: [UInt8], side: Int, area: MaskCanvas.Area, chunk: Range<Int>, isRehearsed: Bool) {
        (self.side, self.area, self.chunk, self.isRehearsed) = (side, area, chunk, isRehearsed)
        bytes = Array(masks[chunk.lowerBound * side * side..<chunk.upperBound * side * side])
        truth =
            isRehearsed
            ? []
            : chunk.map { object in
                PixelMask(
                    width: area.width, height: area.height,
                    pixels: (0..<area.height).flatMap { row in
                        (0..<area.width).map { masks[(object * side + row) * side + $0] != 0 }
                    })
            }
    }

    /// The box or the first click of each object.
    func start(_ draws: InteractiveDraws) throws -> PromptBatch {
        guard !isRehearsed else {
            return try PromptBatch(boxes: Tensor(repeating: 1, [chunk.count, 4]))
        }
        guard !draws.startsWithBox else {
            let boxes = zip(chunk, truth).flatMap { object, mask in
                BoxJitter.sam.apply(
                    to: mask.tightBox.map { Float($0) }, normal: draws.normal[object], width: area.width,
                    height: area.height)
            }
            return try PromptBatch(boxes: Tensor(boxes, [chunk.count, 4]))
        }
        let clicks = self.clicks(after: nil, round: 0, draws)
        return try PromptBatch(
            points: Tensor(clicks.flatMap { [Float($0.x), Float($0.y)] }, [chunk.count, 1, 2]),
            labels: clicks.map { $0.isForeground ? .foreground : .background })
    }

    /// The clicks of a round, given the logits carried on. // [n, 4 h, 4 w]
    func clicks(after carried: Tensor, round: Int, _ draws: InteractiveDraws, in workspace: Workspace) -> [Click] {
        guard !isRehearsed else { return chunk.map { _ in Click(x: 0, y: 0, isForeground: true) } }
        let predictions = truth.indices.map { object -> PixelMask in
            var canvas = Tensor(uninitialized: [1, side, side])
            BilinearResizeKernel.forward(carried.rows(object..<object + 1), into: &canvas, in: workspace)
            let logits = canvas.pointer
            return withExtendedLifetime(canvas) {
                PixelMask(
                    width: area.width, height: area.height,
                    pixels: (0..<area.height).flatMap { row in (0..<area.width).map { logits[row * side + $0] > 0 } })
            }
        }
        return clicks(after: predictions, round: round, draws)
    }

    private func clicks(after predictions: [PixelMask]?, round: Int, _ draws: InteractiveDraws) -> [Click] {
        zip(chunk, truth).enumerated().map { place, pair in
            let (object, mask) = pair
            let backup = mask.pixels.firstIndex(of: true) ?? 0
            return Click.training(
                on: mask, after: predictions?[place], certainty: nil, uniform: draws.uniform[round][object],
                backup: (backup % mask.width, backup / mask.width))
        }
    }
}
