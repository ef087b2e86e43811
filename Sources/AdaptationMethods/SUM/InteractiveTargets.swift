import Foundation
import Interaction
import Kernels
import Machine
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
    /// Which of the image's objects.
    let chunk: Range<Int>
    /// What their masks are compared with.
    let canvas: MaskCanvas
    /// Their masks on the image's part.
    private let truth: [PixelMask]
    /// c of every pixel of each, where clicks heed it. // n x [H, W]
    private let certainty: [Tensor]?
    /// Whether nothing is computed, so that places of clicks do not matter.
    private let isRehearsed: Bool

    /// Objects with masks that are trusted everywhere.
    ///
    /// - Parameter masks: Bytes that are 0 or 1, of all the image's objects. // [N, S, S]
    init(
        masks: [UInt8], side: Int, area: MaskCanvas.Area, chunk: Range<Int>, loss: UncertaintyWeightedLoss,
        isRehearsed: Bool
    ) {
        (self.chunk, self.isRehearsed, certainty) = (chunk, isRehearsed, nil)
        let bytes = Array(masks[chunk.lowerBound * side * side..<chunk.upperBound * side * side])
        canvas = loss.canvas(.bytes(bytes), side: side, area: area)
        truth =
            isRehearsed
            ? []
            : chunk.map { object in
                PixelMask(area) { masks[(object * side + $0) * side + $1] != 0 }
            }
    }

    /// Objects with pseudo-masks; a pixel belongs to one where its enlarged probability exceeds 1/2.
    ///
    /// - Parameter pseudo: Of all the image's objects.
    init(
        _ pseudo: PseudoMasks, side: Int, area: MaskCanvas.Area, chunk: Range<Int>, loss: UncertaintyWeightedLoss,
        rule: PseudoMaskRule, in workspace: Workspace
    ) {
        (self.chunk, isRehearsed) = (chunk, workspace.pool.isRehearsal)
        let own = (rule.usesRefined ? pseudo.refinedAlone : pseudo).rows(chunk)
        canvas = loss.canvas(
            .probabilities(own.probability), side: side, area: area,
            uncertainty: rule.weighsLosses ? (own.probability, own.refined) : nil)
        guard !isRehearsed else {
            // What the rounds keep.
            let maps = chunk.map { _ in Tensor(uninitialized: [area.height, area.width]) }
            (truth, certainty) = ([], rule.weighsClicks ? maps : nil)
            return
        }
        var (truth, certainty): ([PixelMask], [Tensor]) = ([], [])
        for object in 0..<chunk.count {
            let one = own.rows(object..<object + 1)
            let map = UncertaintyMap(
                probability: one.probability, refined: one.refined, side: side, height: area.height,
                width: area.width, in: workspace)
            truth.append(PixelMask(width: area.width, height: area.height, pixels: map.label))
            if rule.weighsClicks { certainty.append(map.certainty) }
        }
        (self.truth, self.certainty) = (truth, rule.weighsClicks ? certainty : nil)
    }

    /// The box or the first click of each object.
    func start(_ draws: InteractiveDraws) throws -> PromptBatch {
        guard !isRehearsed else {
            return try PromptBatch(boxes: Tensor(repeating: 1, [chunk.count, 4]))
        }
        guard !draws.startsWithBox else {
            let boxes = zip(chunk, truth).flatMap { object, mask in
                BoxJitter.sam.apply(
                    to: mask.tightBox.map { Float($0) }, normal: draws.normal[object], width: mask.width,
                    height: mask.height)
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
        let side = canvas.side
        let predictions = truth.indices.map { object -> PixelMask in
            var enlarged = Tensor(uninitialized: [1, side, side])
            BilinearResizeKernel.forward(carried.rows(object..<object + 1), into: &enlarged, in: workspace)
            let logits = enlarged.pointer
            return withExtendedLifetime(enlarged) {
                PixelMask(.init(height: truth[object].height, width: truth[object].width)) {
                    logits[$0 * side + $1] > 0
                }
            }
        }
        return clicks(after: predictions, round: round, draws)
    }

    private func clicks(after predictions: [PixelMask]?, round: Int, _ draws: InteractiveDraws) -> [Click] {
        zip(chunk, truth).enumerated().map { place, pair in
            let (object, mask) = pair
            let backup = mask.pixels.firstIndex(of: true) ?? 0
            return Click.training(
                on: mask, after: predictions?[place], certainty: certainty?[place].elements,
                uniform: draws.uniform[round][object], backup: (backup % mask.width, backup / mask.width))
        }
    }
}

extension PixelMask {
    /// A mask on the image's part of a canvas, from the value of each pixel.
    init(_ area: MaskCanvas.Area, _ value: (_ row: Int, _ column: Int) -> Bool) {
        self.init(
            width: area.width, height: area.height,
            pixels: (0..<area.height).flatMap { row in (0..<area.width).map { value(row, $0) } })
    }
}
