package import Tensors

/// Creates prompts from weak labels.
///
/// Simulated boxes are the data set's own if it has some, otherwise the tight rectangles of the masks at the original
/// resolution (exclusive right and bottom); simulated points are drawn from the masks in the model frame. Annotations
/// are used unchanged, and a polygon replaces a missing box.
package enum PromptSampling {
    /// Creates the prompts of the given instances of a sample.
    ///
    /// - Parameters:
    ///   - sample: The sample, already mirrored.
    ///   - modelMasks: All its masks in the model frame, if it has masks.
    ///   - instances: The instances to prompt, in the order of the prompts.
    /// - Throws: `DatasetError` if the sample's labels cannot provide this kind of prompt.
    static func prompts(
        for sample: Sample, modelMasks: InstanceMasks?, instances: [Int], frame: ModelFrame, options: PromptOptions,
        generator: inout SeededGenerator
    ) throws -> Prompts {
        switch options.kind {
        case .box:
            let boxes = try instances.map { instance -> Box in
                guard let box = box(of: sample, instance, options.source) else { throw unavailable(.box, sample) }
                return frame.toModel(box)
            }
            return Prompts(boxes: boxes)
        case .point:
            if options.source != .annotations, let masks = modelMasks {
                return Prompts(
                    points: instances.map { draw(from: masks, instance: $0, options: options, generator: &generator) })
            }
            if let points = sample.points, instances.allSatisfy({ !points[$0].isEmpty }) {
                return Prompts(points: instances.map { points[$0].map(frame.toModel) })
            }
            guard options.takesMiddleOfBox else { throw unavailable(.point, sample) }
            let middles = try instances.map { instance -> [LabelledPoint] in
                guard let box = box(of: sample, instance, options.source) else { throw unavailable(.point, sample) }
                return [frame.toModel(box.middle)]
            }
            return Prompts(points: middles)
        case .coarse:
            let outlines = try instances.map { instance -> CoarseOutline in
                guard let outline = CoarseOutline(sample, instance, options.source) else {
                    throw unavailable(.coarse, sample)
                }
                return outline
            }
            switch options.coarse {
            case .box: return Prompts(boxes: outlines.map { frame.toModel($0.box) }, kind: .coarse)
            case .mask:
                let side = options.maskSide
                let grids = outlines.flatMap { frame.maskPrompt(side: side, middle: $0.middle, isInside: $0.contains) }
                return Prompts(masks: Tensor(grids, [outlines.count, side, side]))
            }
        }
    }

    /// The box of an instance in the original image.
    private static func box(of sample: Sample, _ instance: Int, _ source: PromptSource) -> Box? {
        if let box = sample.boxes?[instance] { return box }
        if source != .annotations, let masks = sample.instances { return masks.box(of: instance) }
        return sample.polygons?[instance].bounds
    }

    private static func unavailable(_ kind: PromptKind, _ sample: Sample) -> DatasetError {
        .unavailable(kind, sample.labelKinds, sample.id)
    }

    /// Draws points with replacement: first from the mask, then from all other pixels of the frame, padding included.
    ///
    /// A mask without pixels, or one that leaves no other pixel, gives no points of that sort.
    package static func draw(
        from masks: InstanceMasks, instance: Int, options: PromptOptions, generator: inout SeededGenerator
    ) -> [LabelledPoint] {
        let rowCounts = masks.rowCounts(of: instance)
        let inside = rowCounts.reduce(0, +)
        let outside = masks.width * masks.height - inside
        var points: [LabelledPoint] = []
        if inside > 0 {
            for _ in 0..<options.positivePoints {
                let rank = generator.index(below: inside)
                points.append(masks.point(ranked: rank, of: instance, isSet: true, rowCounts: rowCounts))
            }
        }
        if outside > 0 {
            for _ in 0..<options.negativePoints {
                let rank = generator.index(below: outside)
                points.append(masks.point(ranked: rank, of: instance, isSet: false, rowCounts: rowCounts))
            }
        }
        return points
    }

    /// The instances of a training step: those left after resizing, reduced by the cap to a random subset.
    ///
    /// The subset is the head of a random permutation and stays in the permuted order, as in WeSAM; prompts, masks and
    /// predictions share that order, so nothing depends on the labels' own.
    package static func capped(_ instances: [Int], maximum: Int, generator: inout SeededGenerator) -> [Int] {
        guard instances.count > maximum else { return instances }
        return generator.permutation(instances.count).prefix(maximum).map { instances[$0] }
    }
}

extension InstanceMasks {
    /// The pixel preceded by `rank` pixels of its own sort, in or out of the mask, in row-major order.
    fileprivate func point(ranked rank: Int, of instance: Int, isSet: Bool, rowCounts: [Int]) -> LabelledPoint {
        var remaining = rank
        var y = 0
        while true {
            let inRow = isSet ? rowCounts[y] : width - rowCounts[y]
            if remaining < inRow { break }
            remaining -= inRow
            y += 1
        }
        // Pixels of the sort sought lie in the runs, or in front of, between and behind them.
        var x = 0
        for run in runs(of: instance) where run.row == Int32(y) {
            if isSet {
                x = Int(run.first)
                if remaining < Int(run.end - run.first) { break }
                remaining -= Int(run.end - run.first)
            } else {
                if remaining < Int(run.first) - x { break }
                remaining -= Int(run.first) - x
            }
            x = Int(run.end)
        }
        x += remaining
        return LabelledPoint(x: Double(x), y: Double(y), isForeground: isSet)
    }
}
