package import Adapters
package import Datasets
import Evaluation
package import Imaging
import Recipes
package import WeightFiles

/// Reads images as those that an adapter was trained on.
package struct AdapterIntensity {
    /// The record of the adapter; nil if it states none.
    package let record: IntensityRecord?
    private let path: String

    /// Reads the record of an adapter file.
    package init(_ file: AdapterFile, path: String) {
        self.path = path
        record = file.description.intensity.flatMap { IntensityRecord(text: $0) }
    }

    /// Reads the record of a pool. Throws `WeightFileError` for an adapter file that cannot be opened.
    package init(_ pool: AdapterPool) throws(WeightFileError) {
        (path, record) = (pool.path, try pool.intensityRecord())
    }

    /// The recipe with the adapter's reading where it sets none of its own, and what a user should know of it.
    package func apply(to resolved: ResolvedRecipe) -> (recipe: Recipe, notices: [String]) {
        var recipe = resolved.recipe
        guard let record else { return (recipe, []) }
        var notices: [String] = []
        func read(_ options: inout DatasetOptions, _ source: String) {
            let key = recipe.intensityKey(source)
            guard let trained = record.entry(of: source) else {
                notices.append(
                    "\(path) was trained on sources that were read in different ways (\(record.text)), none of them "
                        + "\(source): it is read with \(key)=\(options.intensity.rawValue)")
                return
            }
            let isExplicit = [key, key + "Scope", "data.intensity", "data.intensityScope"].contains {
                (resolved.sources[$0] ?? .defaults) != .defaults
            }
            if isExplicit, (options.intensity, options.intensityScope) != (trained.rule, trained.scope) {
                notices.append(
                    "\(path) was trained with \(Self.keys(key, trained.rule, trained.scope)), images are read with "
                        + Self.keys(key, options.intensity, options.intensityScope))
            } else {
                options.read(as: trained)
            }
        }
        var data = recipe.data
        if data.sources.isEmpty {
            read(&data.source.options, DataSettings.defaultName)
        } else {
            for place in data.sources.indices {
                read(&data.sources[place].settings.options, data.sources[place].name)
            }
        }
        recipe.data = data
        return (recipe, notices)
    }

    /// The reading of a single image, and what a user should know of it.
    ///
    /// - Parameter asked: The rule that the user asks for; nil for that of the adapter.
    package func intensity(asked: Intensity.Rule?) -> (intensity: Intensity, notices: [String]) {
        guard let record else { return (Intensity(asked ?? .auto), []) }
        guard let asked else {
            if let trained = record.common { return (trained.intensity, []) }
            return (
                Intensity(.auto),
                [
                    "\(path) was trained on sources that were read in different ways (\(record.text)): "
                        + "the image is read with auto; choose with --intensity"
                ]
            )
        }
        if let same = record.entries.first(where: { $0.rule == asked && $0 == record.common }) {
            return (same.intensity, [])
        }
        return (
            Intensity(asked),
            ["\(path) was trained with \(record.text), the image is read with --intensity \(asked.rawValue)"]
        )
    }

    /// A notice that the adapter is of a version that had no choice; nil unless there are images of more than 8 bits.
    package func noticeWithoutRecord(deepImages: Int, key: String) -> String? {
        guard record == nil, deepImages > 0 else { return nil }
        return "\(path) does not state how images of more than 8 bits were read; "
            + "earlier versions took their high 8 bits, which is \(key)"
    }

    private static func keys(
        _ key: String, _ rule: Intensity.Rule, _ scope: DatasetOptions.IntensityScope
    ) -> String {
        "\(key)=\(rule.rawValue)" + (scope == .dataset ? " over the data set" : "")
    }
}
