package import AdaptationMethods
package import Adapters

extension Recipe {
    /// The settings of the adapters that train.
    package var adapterOptions: AdapterOptions {
        AdapterOptions(rank: lora.rank, seed: UInt64(bitPattern: Int64(training.seed)))
    }

    /// The method with its settings. Throws `AdaptationMethodError` for a name that is not known.
    package func adaptationMethod(
        of methods: MethodRegistry = .known
    ) throws(AdaptationMethodError) -> any AdaptationMethod {
        try methods.make(method.name, RecipeMethodSettings(self))
    }
}

/// What a recipe says below `method`, by the names that methods ask for.
struct RecipeMethodSettings: MethodSettingsSource {
    private let recipe: Recipe

    init(_ recipe: Recipe) { self.recipe = recipe }

    func number(_ key: String) -> Double? {
        switch value(key) {
        case .number(let number): number
        case .integer(let integer): Double(integer)
        default: nil
        }
    }

    func integer(_ key: String) -> Int? {
        if case .integer(let integer) = value(key) { integer } else { nil }
    }

    func text(_ key: String) -> String? {
        if case .text(let text) = value(key) { text } else { nil }
    }

    private func value(_ key: String) -> RecipeValue? { RecipeReference.field("method.\(key)")?.value(recipe) }
}
