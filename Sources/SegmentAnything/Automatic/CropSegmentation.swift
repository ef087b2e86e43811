import Kernels
import Layers
import Machine
import Tensors

/// The automatic segmentation of one crop.
struct CropSegmentation {
    let model: SegmentAnythingModel
    let configuration: AutomaticMaskConfiguration
    let crop: ImageCrop
    let imageWidth: Int
    let imageHeight: Int

    /// A candidate with a sufficient predicted IoU.
    private struct Candidate {
        let logits: Tensor  // [4 h, 4 w]
        let iou: Float
        /// Which of the point's candidates.
        let index: Int
        /// The point it was decoded from, relative to the crop's corner.
        let point: (x: Double, y: Double)
    }

    /// The crop's masks by descending predicted IoU, in the image's coordinates.
    ///
    /// Throws `SegmentAnythingError`.
    func masks(
        _ prepared: AutomaticMaskGenerator.PreparedCrop, in context: PassContext
    ) throws(SegmentAnythingError) -> [AutomaticMask] {
        let frame = prepared.frame
        precondition(
            frame.originalWidth == crop.box.width && frame.originalHeight == crop.box.height,
            "a crop of \(crop.box) prepared as \(frame)")
        let features = model.encoder.encode(prepared.input, in: context)
        let points = PointGrid.points(
            perSide: configuration.pointsPerSide(layer: crop.layer), width: crop.box.width, height: crop.box.height)
        var found: [AutomaticMask] = []
        for start in stride(from: 0, to: points.count, by: configuration.pointsPerBatch) {
            let batch = Array(points[start..<min(start + configuration.pointsPerBatch, points.count)])
            let candidates = try candidates(batch, features, frame, in: context)
            found += masks(candidates, frame, in: context.workspace)
        }
        return AutomaticMaskGenerator.suppressed(
            found, scores: found.map(\.predictedIoU), threshold: configuration.boxSuppressionThreshold)
    }

    /// The candidates of some points whose predicted IoU is above the threshold, point by point.
    private func candidates(
        _ points: [(x: Double, y: Double)], _ features: ImageFeatures, _ frame: MaskFrame, in context: PassContext
    ) throws(SegmentAnythingError) -> [Candidate] {
        let scaleX = Double(frame.width) / Double(frame.originalWidth)
        let scaleY = Double(frame.height) / Double(frame.originalHeight)
        let positions = points.flatMap {
            [Float($0.x * scaleX + Double(frame.left)), Float($0.y * scaleY + Double(frame.top))]
        }
        var prompts = try PromptBatch(
            points: Tensor(positions, [points.count, 1, 2]),
            labels: [PointLabel](repeating: .foreground, count: points.count))
        prompts.task = configuration.task
        let threshold = Float(configuration.predictedIoUThreshold)
        func isWanted(_ iou: Float) -> Bool { configuration.predictedIoUThreshold <= 0 || iou > threshold }
        var candidates: [Candidate] = []
        try model.decoder.decodeCandidates(
            features, position: model.promptEncoder.densePositionalEncoding,
            prompts: model.promptEncoder.encode(prompts, in: context), isWanted: isWanted, in: context
        ) { point, iou, logits in
            let (height, width) = (logits.shape[1], logits.shape[2])
            for (index, iou) in iou.enumerated() where isWanted(iou) {
                candidates.append(
                    Candidate(
                        logits: logits.rows(index..<index + 1).reshaped([height, width]), iou: iou, index: index,
                        point: points[point]))
            }
        }
        return candidates
    }

    /// The masks of those candidates that are stable and not cut off by the crop.
    private func masks(_ candidates: [Candidate], _ frame: MaskFrame, in workspace: Workspace) -> [AutomaticMask] {
        let area = frame.originalWidth * frame.originalHeight
        let perPiece = max(1, AutomaticMaskGenerator.pieceBytes / (area * MemoryLayout<Float>.stride))
        var masks: [AutomaticMask] = []
        for start in stride(from: 0, to: candidates.count, by: perPiece) {
            let piece = candidates[start..<min(start + perPiece, candidates.count)]
            let sides = piece[start].logits.shape
            let stacked = Tensor(piece.flatMap(\.logits.elements), [1, piece.count, sides[0], sides[1]])
            let logits = MaskPostprocessing.resize(stacked, to: frame, in: workspace)
            let source = logits.pointer
            var scans = [LogitScan?](repeating: nil, count: piece.count)
            scans.withUnsafeMutableBufferPointer { scans in
                // Every task writes its own element.
                workspace.pool.parallelFor(piece.count) { index, _ in
                    scans[index] = LogitScan(
                        source + index * area, width: frame.originalWidth, height: frame.originalHeight,
                        offset: Float(configuration.stabilityScoreOffset),
                        minimumScore: Float(configuration.stabilityScoreThreshold))
                }
            }
            withExtendedLifetime(logits) {}
            masks += zip(piece, scans).compactMap { candidate, scan in scan.flatMap { mask(candidate, $0) } }
        }
        return masks
    }

    private func mask(_ candidate: Candidate, _ scan: LogitScan) -> AutomaticMask? {
        let extents = scan.mask.extents.shifted(x: crop.box.x0, y: crop.box.y0)
        if extents.isNearEdge(of: crop.box, imageWidth: imageWidth, imageHeight: imageHeight) { return nil }
        return AutomaticMask(
            mask: scan.mask.placed(in: crop.box, width: imageWidth, height: imageHeight), predictedIoU: candidate.iou,
            stabilityScore: scan.stabilityScore,
            point: (candidate.point.x + Double(crop.box.x0), candidate.point.y + Double(crop.box.y0)),
            candidate: candidate.index,
            crop: crop.box)
    }
}
