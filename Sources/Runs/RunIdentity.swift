import AdaptationMethods
import Adapters
import CheckpointStore
import Datasets
import Imaging
import ModelLoading
import Recipes
import WeightFiles

// The identity of a run: the recipe keys that affect the result, weights, images, and the stages before a step.

extension CheckpointStore.Identity {
    /// The identity of a run.
    init(
        _ assembly: RunAssembly, _ loaded: LoadedModel, _ data: TrainingData, parameterCount: Int,
        kernels: [CheckpointManifest.Kernels], startDigest: String? = nil, continuing pool: ContinuedPool? = nil
    ) {
        let (recipe, schedule) = (assembly.recipe, assembly.schedule(data))
        let shaping = recipe.shapingEntries.map { CheckpointManifest.Setting(key: $0.key, value: $0.value) }
        let images = data.training.parts.map { part in
            CheckpointManifest.Setting(
                key: recipe.data.sources.isEmpty ? "images" : "images of \(part.source)",
                value: Self.digest(part.images))
        }
        let ranges = data.intensities.filter { $0.entry.ranges != nil }.map { source in
            CheckpointManifest.Setting(
                key: recipe.data.sources.isEmpty ? "intensities" : "intensities of \(source.entry.source)",
                value: source.entry.reading)
        }
        var order: [CheckpointManifest.Setting] = []
        if !recipe.data.sources.isEmpty {
            // Images are drawn and numbered in the order of their sources.
            let names = recipe.data.sources.map(\.name).joined(separator: ", ")
            order.append(CheckpointManifest.Setting(key: "sources", value: names))
        }
        let stages = zip(assembly.stages(data), schedule.legs).map { stage, leg in
            "\(stage.name) \(stage.domains) \(leg.steps)"
        }
        // With one stage, a longer run is the same run; with several, their lengths determine what was learnt before.
        if stages.count > 1 {
            order.append(CheckpointManifest.Setting(key: "stages", value: stages.joined(separator: ", ")))
        }
        if let startDigest {
            order.append(CheckpointManifest.Setting(key: "start values", value: startDigest))
        }
        if let pool { order.append(CheckpointManifest.Setting(key: "pool", value: pool.files.digest)) }
        self.init(
            settings: shaping + [.init(key: "weights", value: loaded.baseDigest)] + images + ranges + order,
            parameterCount: parameterCount, kernels: kernels,
            predecessors: recipe.predecessors(reading: data.intensities), images: { schedule.images(before: $0) })
    }

    private static func digest(_ images: any SegmentationDataset) -> String {
        let digest = SHA256Digest()
        for index in 0..<images.count { digest.update(Array((images.fingerprint(index) + "\n").utf8)) }
        return digest.hexadecimal()
    }
}

extension Recipe {
    /// The meaning of keys of earlier versions, so that their checkpoints can be resumed.
    func predecessors(reading intensities: [SourceIntensity] = []) -> CheckpointStore.Predecessors {
        let own = Set(entries.map(\.key.key))
        let ofOtherMethods = method.variants.flatMap { $0.rows.map { "method.\($0.name)" } }.filter {
            !own.contains($0)
        }
        var plain = Recipe()
        plain.model.kind = model.kind
        let chosen = method.variants.first { $0.name == method.chosen }
        let ofMethod = zip(chosen?.rows ?? [], chosen?.defaults ?? []).filter { $0.0.effect == .result }.map {
            ("method.\($0.name)", $1.description)
        }
        let defaults = plain.shapingEntries.filter { !$0.key.hasPrefix("method.") } + ofMethod
        let ofImages = intensities.flatMap(intensityPredecessors)
        let others = defaults.filter { row in !ofImages.contains { $0.key == row.0 } }
        return CheckpointStore.Predecessors(
            renamed: Self.schema.moved.map { (old: $0.old, new: $0.new) }, ignored: ofOtherMethods,
            defaults: ofImages + others.map { (key: $0.0, value: $0.1) })
    }

    /// How a source's images were read before there was a choice: by `full`, which for images of up to 8 bits is `auto`.
    private func intensityPredecessors(_ source: SourceIntensity) -> [(key: String, value: String)] {
        let (rule, key) = (source.entry.rule, intensityKey(source.entry.source))
        let isAsBefore = rule == .full || rule == .auto && source.deepImages == 0
        let scope = isAsBefore ? source.entry.scope : .image
        return [
            (key, isAsBefore ? rule.rawValue : Intensity.Rule.full.rawValue), (key + "Scope", scope.rawValue),
        ]
    }
}
