import AdaptationMethods
import Adapters
import CheckpointStore
import Collectives
import Datasets
import Evaluation
import Foundation
import Imaging
import Kernels
import ModelLoading
import Telemetry
import WeightFiles

/// Makes the maps of pseudo-masks before training, divided among the ranks, and tells which masks are trusted least.
///
/// Each image's maps are files of their own, written as soon as they are made. They depend on the base model, the
/// pseudo-masks, what they are compared with, and the image.
struct UncertaintyMapping {
    let plan: PseudoMaskPlan
    let loaded: LoadedModel
    let rounds: ImageRounds
    let workspace: Workspace
    /// The folder of the maps.
    let folder: String
    /// The file of the refinement module, if there is one.
    let refiner: String?

    private static let name = "uncertainty maps"
    /// The masks that the report names.
    private static let listed = 5

    /// The labelled images with their maps. Collective.
    ///
    /// Throws `ImagingError` if a file cannot be written, `WeightFileError` for a refinement module that does not fit,
    /// `SegmentAnythingError`, `CollectivesError`, and `ImageRounds.StopRequested`.
    func map(_ labelled: AutomaticDataset, _ indices: [Int]) throws -> any SegmentationDataset {
        var identity = "\(loaded.baseDigest) \(plan.uncertainty.rawValue)"
        var comparison = UncertaintyMapper.Comparison.confidence
        switch plan.uncertainty {
        case .refiner:
            guard let refiner else { preconditionFailure("maps without the refinement module they need") }
            identity += " \(try FileDigest.sha256(of: refiner))"
            comparison = .refiner(try loaded.refiner(opening: refiner))
        case .discrepancy: comparison = .discrepancy
        case .confidence, .none: break
        }
        let mapped = MappedDataset(
            labelled: labelled, folder: folder, identity: identity, usesRefined: plan.usesRefined)
        try rounds.makeFolder(folder)
        let mapper = UncertaintyMapper(loaded, by: comparison, workspace: workspace)
        // Images without labels report their own fault when they are read.
        let states = rounds.share(of: indices).filter { labelled.stored($0) != nil }.map { ($0, mapped.state($0)) }
        if !plan.store.isEmpty, let foreign = states.first(where: { $0.1 == .foreign }) {
            throw RunError(
                .configuration,
                "\(mapped.path(foreign.0)).json is of other inputs: another model, refinement module, masks or "
                    + "method.uncertainty", remedy: "choose another method.store, or remove its maps")
        }
        let todo = states.filter { $0.1 != .whole }
        let stateOfImage = Dictionary(uniqueKeysWithValues: todo)
        let done = try rounds.run(Self.name, todo.map(\.0), counts: 3) { image, ground in
            let state = stateOfImage[image]
            let origins = try labelled.labels(image).origins ?? []
            let maps = try mapper.maps(of: try labelled.image(image), origins)
            guard ground?.isInPlace ?? true else { return [0, 0, 0] }
            try MapFile.write(maps, identity: mapped.identity(image), to: mapped.path(image))
            return [maps.count, state == .damaged ? 1 : 0, state == .foreign ? 1 : 0]
        }
        try rounds.communicator.barrier()
        report(mapped, indices, done)
        return mapped
    }

    private static func remade(_ count: Int, _ kind: String) -> String {
        count == 0 ? "" : "; \(count) \(kind) map\(count == 1 ? "" : "s") made again"
    }

    private func report(_ mapped: MappedDataset, _ indices: [Int], _ done: ImageRounds.Done) {
        guard rounds.communicator.isRoot else { return }
        let notes = indices.compactMap { index in mapped.stored(index).map { (index, $0) } }
        let masks = notes.flatMap { index, note in
            note.uncertainty.enumerated().map { (index: index, mask: $0, value: $1) }
        }
        let leftOut = notes.reduce(0) { $0 + $1.1.uncertainty.count - $1.1.usable(refined: plan.usesRefined).count }
        let mean = masks.reduce(0) { $0 + $1.value } / Double(max(masks.count, 1))
        rounds.notice(
            "\(Self.name): \(done.counts[0]) masks in \(done.images) images" + String(format: ", %.0f s", done.seconds)
                + (notes.count > done.images ? "; \(notes.count - done.images) images already mapped" : "")
                + Self.remade(done.counts[1], "damaged") + Self.remade(done.counts[2], "outdated")
                + String(format: "; mean uncertainty %.3f", mean)
                + (leftOut > 0 ? "; \(leftOut) masks left out, too small or almost the whole square" : ""))
        let worst = masks.sorted { ($1.value, $0.index, $0.mask) < ($0.value, $1.index, $1.mask) }.prefix(Self.listed)
        guard !worst.isEmpty else { return }
        rounds.notice(
            "least certain: "
                + worst.map {
                    "\(mapped.id($0.index)) mask \($0.mask + 1)" + String(format: " (%.2f)", $0.value)
                }.joined(separator: ", "))
    }
}
